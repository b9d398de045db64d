# cmake -DBUILD=<build folder> -DTORCH=<LibTorch> -DVERSION=... -P package.cmake: makes the packages,
# unpacks them elsewhere, tells them where LibTorch is, and draws a picture with each.
set(work "${BUILD}/tests/package")
file(REMOVE_RECURSE "${work}")
file(MAKE_DIRECTORY "${work}")
# What a person has set must not lead to LibTorch.
unset(ENV{LD_LIBRARY_PATH})

function(run)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY "${work}" RESULT_VARIABLE code
    OUTPUT_VARIABLE out ERROR_VARIABLE out OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "${ARGN}\nfailed (${code}):\n${out}")
  endif()
  set(out "${out}" PARENT_SCOPE)
endfunction()

function(refused)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY "${work}" RESULT_VARIABLE code OUTPUT_QUIET ERROR_QUIET)
  if(code EQUAL 0)
    message(FATAL_ERROR "${ARGN}\nwas to fail")
  endif()
endfunction()

function(expect_in part)
  string(FIND "${out}" "${part}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "no '${part}' in:\n${out}")
  endif()
endfunction()

# A folder with bin/ and lib/ in it.
function(draw_with prefix)
  # The LibTorch that it was built with is not found by itself.
  refused("${prefix}/bin/txt2img" --version)
  refused("${prefix}/bin/easel-libtorch" "${work}")
  run("${prefix}/bin/easel-libtorch" "${TORCH}")
  run("${prefix}/bin/txt2img" --version)
  expect_in("txt2img ${VERSION}")
  run("${prefix}/bin/txt2img" --prompt "a red circle on a blue background" --steps 2 --H 64 --W 64 --device cpu
    --threads 1 --quiet -o "${prefix}.png")
  run("${prefix}/bin/txt2img" --verify "${prefix}.png" --device cpu --threads 1)
  expect_in("the same, pixel for pixel")
endfunction()

run(${CPACK} --config "${BUILD}/CPackConfig.cmake" -B "${work}")
file(GLOB tarball "${work}/easel-${VERSION}-*.tar.gz")
run(${CMAKE_COMMAND} -E tar xzf "${tarball}")
get_filename_component(name "${tarball}" NAME)
string(REPLACE ".tar.gz" "" name "${name}")
file(RENAME "${work}/${name}" "${work}/unpacked")
draw_with("${work}/unpacked")

find_program(DPKG_DEB dpkg-deb)
file(GLOB package "${work}/easel_${VERSION}_*.deb")
if(NOT DPKG_DEB OR NOT package)
  return()
endif()
run(${DPKG_DEB} --info "${package}")
foreach(part "Package: easel" "Version: ${VERSION}" "libc6 (" "libsentencepiece" "libyaml-cpp" "postinst")
  expect_in("${part}")
endforeach()
run(${DPKG_DEB} --contents "${package}")
foreach(part ./usr/bin/txt2img ./usr/bin/easel-libtorch ./usr/lib/libeasel_c.so ./usr/share/man/man1/img2img.1
    ./usr/share/easel/models/shapes ./usr/include/easel/capi/easel.h ./usr/share/doc/easel/LICENSE)
  expect_in("${part}")
endforeach()
run(${DPKG_DEB} -x "${package}" "${work}/deb")
draw_with("${work}/deb/usr")
