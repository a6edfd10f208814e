# SPDX-License-Identifier: Apache-2.0
# What is installed, and the Debian packages that CPack makes of it (scripts/package). The .rpm has a spec of its own,
# packaging/rpm/dlm-freeze.spec, which installs by the same rules.
#
# Components: base, mysql and postgresql are packages. `here` is what the Debian packages have elsewhere or in another form;
# what only they have is marked EXCLUDE_FROM_ALL, which means: only where its component is asked for, as CPack does.

# compressed(<variable> <file> <name>): <file> as <name>.gz in the build tree, whose path goes into <variable>. Without name
# and time in it, so that it is the same whenever it is built.
function(compressed variable file name)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/packaging/${name}.gz)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_CURRENT_BINARY_DIR}/packaging
    COMMAND gzip -9 -n -c ${CMAKE_CURRENT_SOURCE_DIR}/${file} > ${output}
    DEPENDS ${file}
    VERBATIM)
  set(${variable}
      ${output}
      PARENT_SCOPE)
endfunction()

compressed(manual_page docs/dlm-freeze.8 dlm-freeze.8)
compressed(changelog CHANGELOG.md changelog)
compressed(debian_changelog packaging/deb/changelog changelog.Debian)
add_custom_target(dlm_freeze_documentation ALL DEPENDS ${manual_page} ${changelog} ${debian_changelog})

install(TARGETS dlm_freeze_cli RUNTIME COMPONENT base)
install(FILES ${manual_page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man8 COMPONENT base)
install(FILES packaging/config.example.json packaging/config.schema.json packaging/status.schema.json packaging/dry-run.schema.json packaging/history.schema.json packaging/manifest.schema.json packaging/verify.schema.json packaging/verify-cut.schema.json packaging/verify-snapshots.schema.json
        DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT base)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT base FILES_MATCHING PATTERN "*.md" PATTERN model EXCLUDE PATTERN pictures EXCLUDE PATTERN releasing.md EXCLUDE)
install(DIRECTORY packaging/ssm packaging/queries packaging/callers packaging/selinux packaging/apparmor DESTINATION ${CMAKE_INSTALL_DATADIR}/dlm-freeze USE_SOURCE_PERMISSIONS
        COMPONENT base)
install(DIRECTORY packaging/examples DESTINATION ${CMAKE_INSTALL_DOCDIR} USE_SOURCE_PERMISSIONS COMPONENT base)

# The kit for modules of one's own, in no package of ours.
include(CMakePackageConfigHelpers)
set(kit_package ${CMAKE_INSTALL_LIBDIR}/cmake/dlm-freeze)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/dlm-freeze-config-version.cmake COMPATIBILITY ExactVersion)
install(TARGETS dlm_freeze_kit EXPORT dlm-freeze-targets ARCHIVE COMPONENT kit)
install(DIRECTORY include/dlm_freeze DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT kit)
install(EXPORT dlm-freeze-targets NAMESPACE dlm_freeze:: DESTINATION ${kit_package} COMPONENT kit)
install(FILES cmake/dlm-freeze-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/dlm-freeze-config-version.cmake
        DESTINATION ${kit_package} COMPONENT kit)

set(completions packaging/completions/dlm-freeze)
install(FILES ${completions}.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME dlm-freeze
        COMPONENT base)
install(FILES ${completions}.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT base)
install(FILES ${completions}.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions RENAME _dlm-freeze COMPONENT here)

install(FILES ${completions}.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions RENAME _dlm-freeze
        COMPONENT base EXCLUDE_FROM_ALL)
install(FILES packaging/tmpfiles.conf DESTINATION lib/tmpfiles.d RENAME dlm-freeze.conf COMPONENT base EXCLUDE_FROM_ALL)
install(FILES packaging/config.json DESTINATION /etc/dlm-freeze COMPONENT base EXCLUDE_FROM_ALL)

# What the licences of the libraries that are linked statically want to go along.
set(notices ${CMAKE_CURRENT_BINARY_DIR}/packaging/third-party-notices)
file(WRITE ${notices} "dlm-freeze contains code of these libraries.\n")
foreach(library libcli11-dev nlohmann-json3-dev libexpected-dev)
  if(EXISTS /usr/share/doc/${library}/copyright)
    file(READ /usr/share/doc/${library}/copyright notice)
    file(APPEND ${notices} "\n---- ${library} ----\n\n${notice}")
  endif()
endforeach()

install(FILES LICENSE ${notices} DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT here)
foreach(component base mysql postgresql)
  set(package dlm-freeze-${component})
  string(REPLACE "-base" "" package ${package})
  set(directory ${CMAKE_INSTALL_DATADIR}/doc/${package})
  install(FILES packaging/deb/copyright ${changelog} ${debian_changelog} ${notices} DESTINATION ${directory}
          COMPONENT ${component} EXCLUDE_FROM_ALL)
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/packaging/deb/${package}.lintian-overrides)
    install(FILES packaging/deb/${package}.lintian-overrides DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides
            RENAME ${package} COMPONENT ${component} EXCLUDE_FROM_ALL)
  endif()
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME dlm-freeze)
set(CPACK_PACKAGE_VENDOR "The dlm-freeze project")
set(CPACK_PACKAGE_CONTACT "dlm-freeze maintainers <maintainers@dlm-freeze.invalid>" CACHE STRING "Who maintains the packages")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "") # or it would come before the descriptions below
set(CPACK_SET_DESTDIR ON) # since the configuration is not below the prefix
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ
                                                WORLD_EXECUTE)
set(CPACK_COMPONENTS_ALL base mysql postgresql)
set(CPACK_COMPONENTS_GROUPING IGNORE) # a package for each
set(CPACK_DEB_COMPONENT_INSTALL ON)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(DLM_FREEZE_PACKAGE_RELEASE 1 CACHE STRING "The release of the packages")
set(CPACK_DEBIAN_PACKAGE_RELEASE ${DLM_FREEZE_PACKAGE_RELEASE})
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE ${DLM_FREEZE_DEBIAN_ARCHITECTURE}) # of the sysroot; else this host's
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_BASE_PACKAGE_NAME dlm-freeze)
# Not what dpkg-shlibdeps would find, which is true of the libraries of this host: tests/structure/check-elf.sh makes it true.
set(CPACK_DEBIAN_BASE_PACKAGE_DEPENDS "libc6 (>= 2.18), libmount1 (>= 2.24)")
set(CPACK_DEBIAN_BASE_PACKAGE_RECOMMENDS "libsystemd0 (>= 238)") # systemd-scope.so; done without
set(CPACK_DEBIAN_BASE_PACKAGE_SUGGESTS "dlm-freeze-mysql, dlm-freeze-postgresql")
set(CPACK_COMPONENT_BASE_DESCRIPTION
    "application-consistent EBS snapshots: freeze and thaw
Quiesces databases, freezes every data filesystem, and thaws and releases them
in any case: when told to, at a deadline, or when its processes die.
It is called by Amazon Data Lifecycle Manager through the SSM agent before and
after the snapshots of an EC2 instance, or by anything else that can run a
command.")
set(control ${CMAKE_CURRENT_SOURCE_DIR}/packaging/deb)
set(CPACK_DEBIAN_BASE_PACKAGE_CONTROL_EXTRA ${control}/conffiles ${control}/postinst ${control}/prerm ${control}/postrm)

# Program and modules share an interface that changes with any version.
set(same_version "dlm-freeze (= ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})")
set(CPACK_DEBIAN_MYSQL_PACKAGE_NAME dlm-freeze-mysql)
set(CPACK_DEBIAN_MYSQL_PACKAGE_CONTROL_EXTRA ${control}/prerm)
# The client libraries that src/quiesce/mysql/client_library.cpp looks for; Debian's for those who have none.
set(client_libraries "libmariadb3")
foreach(name libmysqlclient libperconaserverclient)
  foreach(version 24 23 22 21 20)
    string(APPEND client_libraries " | ${name}${version}")
  endforeach()
endforeach()
set(CPACK_DEBIAN_MYSQL_PACKAGE_DEPENDS "${same_version}, libc6 (>= 2.17), ${client_libraries}")
set(CPACK_COMPONENT_MYSQL_DESCRIPTION
    "MySQL, MariaDB and Percona Server for dlm-freeze
The module with which dlm-freeze locks the tables of these servers for the
time of a snapshot, and records where their binary logs stood.")
set(CPACK_DEBIAN_POSTGRESQL_PACKAGE_NAME dlm-freeze-postgresql)
set(CPACK_DEBIAN_POSTGRESQL_PACKAGE_CONTROL_EXTRA ${control}/prerm)
set(CPACK_DEBIAN_POSTGRESQL_PACKAGE_DEPENDS "${same_version}, libc6 (>= 2.17), libpq5")
set(CPACK_COMPONENT_POSTGRESQL_DESCRIPTION
    "PostgreSQL for dlm-freeze
The module with which dlm-freeze brings PostgreSQL into a state from which a
snapshot recovers quickly, as a checkpoint or as a base backup.")

include(CPack)
