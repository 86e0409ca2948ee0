# The man pages and the completion, made of templates and of what the command says of its tables.

set(document_sources ${CMAKE_CURRENT_SOURCE_DIR}/cli/man)
set(UNSPLIT_DOCUMENTS ${PROJECT_BINARY_DIR}/doc)
set(documents unsplit.1 unsplit.conf.5 libunsplit.3 unsplit.bash)
foreach(document ${documents})
  add_custom_command(OUTPUT ${UNSPLIT_DOCUMENTS}/${document}
    COMMAND ${CMAKE_COMMAND} -DUNSPLIT=$<TARGET_FILE:unsplit-cli> -DVERSION=${PROJECT_VERSION}
      -DTEMPLATE=${document_sources}/${document}.in -DOUTPUT=${UNSPLIT_DOCUMENTS}/${document}
      -P ${document_sources}/generate.cmake
    DEPENDS unsplit-cli ${document_sources}/${document}.in ${document_sources}/generate.cmake
    VERBATIM)
  list(APPEND document_outputs ${UNSPLIT_DOCUMENTS}/${document})
endforeach()
add_custom_target(unsplit-documents ALL DEPENDS ${document_outputs})
