# `cmake --install`: the library, the command, and what others need to build against the library.

include(CMakePackageConfigHelpers)
set(package_sources ${CMAKE_CURRENT_SOURCE_DIR}/package)
set(package_files ${PROJECT_BINARY_DIR}/package)

install(TARGETS unsplit LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS unsplit-cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/unsplit
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/CHANGELOG.md
  DESTINATION ${CMAKE_INSTALL_DOCDIR})
# The name that Debian looks for.
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE RENAME copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})

install(FILES ${UNSPLIT_DOCUMENTS}/unsplit.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${UNSPLIT_DOCUMENTS}/libunsplit.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
install(FILES ${UNSPLIT_DOCUMENTS}/unsplit.conf.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES ${UNSPLIT_DOCUMENTS}/unsplit.bash RENAME unsplit
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)

# The prefix is only known when it is installed: --prefix or CPack may set another one than was
# configured.
foreach(directory LIBDIR INCLUDEDIR)
  string(TOLOWER ${directory} name)
  set(${name} ${CMAKE_INSTALL_${directory}})
  if(NOT IS_ABSOLUTE ${${name}})
    set(${name} "\\\${prefix}/${${name}}")
  endif()
endforeach()
install(CODE "
  set(libdir \"${libdir}\")
  set(includedir \"${includedir}\")
  set(version \"${PROJECT_VERSION}\")
  set(description \"${PROJECT_DESCRIPTION}\")
  configure_file(\"${package_sources}/unsplit.pc.in\" \"${package_files}/unsplit.pc\" @ONLY)")
install(FILES ${package_files}/unsplit.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(UNSPLIT_LIBDIR ${CMAKE_INSTALL_LIBDIR})
set(UNSPLIT_INCLUDEDIR ${CMAKE_INSTALL_INCLUDEDIR})
configure_package_config_file(${package_sources}/unsplitConfig.cmake.in
  ${package_files}/unsplitConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/unsplit
  PATH_VARS UNSPLIT_LIBDIR UNSPLIT_INCLUDEDIR)
write_basic_package_version_file(${package_files}/unsplitConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${package_files}/unsplitConfig.cmake ${package_files}/unsplitConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/unsplit)
