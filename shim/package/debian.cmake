# `cpack -G DEB` in the build directory: one package with the library, the command, and what others
# need to build against the library.

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME unsplit)
set(CPACK_PACKAGE_CONTACT "the unsplit authors <maintainers@unsplit.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "huge pages for unmodified programs")
set(CPACK_PACKAGE_DESCRIPTION
"A malloc, to be preloaded or linked, that keeps a program's memory on whole
transparent huge pages: it never gives back part of one, returns what is free
to the kernel at once, and makes huge again what is needed again.  With the
command unsplit, which starts programs with it and checks the machine's
settings, and with the headers of its C interface.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libs)
# Dependencies are those of the files in the package, as dpkg-shlibdeps finds them; packages that
# are built against ours find it by the shlibs file.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# Opened where there are several NUMA nodes, or rules name one.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libnuma1")
# Only plot needs it, and apt would bring 300 MB with it.
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "gnuplot-nox")
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")

include(CPack)
