# Make OUTPUT out of TEMPLATE: @COMMANDS@, @OPTIONS@, @STATISTICS@ and @COMPLETION@ become what the
# command UNSPLIT says of its tables, @VERSION@ and @DATE@ what they are called.
#
# The date is that of the build, or SOURCE_DATE_EPOCH, so that a build can be repeated exactly.

foreach(table commands options statistics completion)
  string(TOUPPER ${table} name)
  execute_process(COMMAND ${UNSPLIT} --document ${table}
    OUTPUT_VARIABLE ${name} OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
endforeach()
string(TIMESTAMP DATE "%Y-%m-%d" UTC)
configure_file(${TEMPLATE} ${OUTPUT} @ONLY)
