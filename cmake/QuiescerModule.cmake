# SPDX-License-Identifier: Apache-2.0
# dlm_freeze_add_module(NAME <name> TARGET <target> COMPONENT <component> SOURCES <file>... [LIBS <library>...] [NOT_INSTALLED])
#
# What only a part of the hosts need, and what needs a library for it: <name>.so, in
# lib/dlm-freeze of the build tree and of the installed tree. What it needs of dlm_freeze_core it brings along, so that the
# program exports nothing. NOT_INSTALLED: an example; it stays in the directory where it is built.
function(dlm_freeze_add_module)
  cmake_parse_arguments(PARSE_ARGV 0 arg "NOT_INSTALLED" "NAME;TARGET;COMPONENT" "SOURCES;LIBS")
  add_library(${arg_TARGET} MODULE ${arg_SOURCES})
  target_link_libraries(${arg_TARGET} PRIVATE dlm_freeze_core dlm_freeze_options dlm_freeze_old_glibc ${arg_LIBS})
  target_link_options(${arg_TARGET} PRIVATE -Wl,--exclude-libs,ALL)
  set_target_properties(
    ${arg_TARGET}
    PROPERTIES OUTPUT_NAME ${arg_NAME}
               PREFIX ""
               CXX_VISIBILITY_PRESET hidden
               VISIBILITY_INLINES_HIDDEN ON)
  if(arg_NOT_INSTALLED)
    return()
  endif()
  set_target_properties(${arg_TARGET} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/${DLM_FREEZE_MODULE_DIR})
  add_dependencies(dlm_freeze_cli ${arg_TARGET})
  install(TARGETS ${arg_TARGET} LIBRARY DESTINATION ${DLM_FREEZE_MODULE_DIR} COMPONENT ${arg_COMPONENT})
endfunction()

# dlm_freeze_add_quiescer_module(NAME <type> SOURCES <file>... [LIBS <library>...] [NOT_INSTALLED])
#
# A loadable quiescer, quiesce-<type>.so, in a component of its own.
function(dlm_freeze_add_quiescer_module)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME" "")
  dlm_freeze_add_module(NAME quiesce-${arg_NAME} TARGET dlm_freeze_${arg_NAME} COMPONENT ${arg_NAME}
                        ${arg_UNPARSED_ARGUMENTS})
endfunction()
