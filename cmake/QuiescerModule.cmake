# SPDX-License-Identifier: Apache-2.0
# dlm_freeze_add_quiescer_module(NAME <type> SOURCES <file>... [LIBS <library>...] [NOT_INSTALLED])
#
# A loadable quiescer, quiesce-<type>.so, in lib/dlm-freeze of the build tree and of the installed tree. What it needs of dlm_freeze_core it brings along, so that the program exports nothing. NOT_INSTALLED: an
# example; it stays in the directory where it is built.
function(dlm_freeze_add_quiescer_module)
  cmake_parse_arguments(PARSE_ARGV 0 arg "NOT_INSTALLED" "NAME" "SOURCES;LIBS")
  set(target dlm_freeze_${arg_NAME})
  add_library(${target} MODULE ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE dlm_freeze_core dlm_freeze_options dlm_freeze_older_glibc ${arg_LIBS})
  target_link_options(${target} PRIVATE -Wl,--exclude-libs,ALL)
  set_target_properties(
    ${target}
    PROPERTIES OUTPUT_NAME quiesce-${arg_NAME}
               PREFIX ""
               CXX_VISIBILITY_PRESET hidden
               VISIBILITY_INLINES_HIDDEN ON)
  if(arg_NOT_INSTALLED)
    return()
  endif()
  set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/${DLM_FREEZE_MODULE_DIR})
  add_dependencies(dlm_freeze_cli ${target})
  install(TARGETS ${target} LIBRARY DESTINATION ${DLM_FREEZE_MODULE_DIR} COMPONENT ${arg_NAME})
endfunction()
