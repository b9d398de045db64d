# cmake -DBUILD=<build folder> -DSOURCE=<this folder> ... -P run.cmake: installs Easel into a folder of
# its own and moves that, builds the consumer project and two more programs against it, draws with
# them, and runs the programs that are installed.
set(work "${BUILD}/tests/install")
file(REMOVE_RECURSE "${work}")
set(prefix "${work}/moved")

function(run)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY "${BUILD}/tests" RESULT_VARIABLE code
    OUTPUT_VARIABLE out ERROR_VARIABLE out OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "${ARGN}\nfailed (${code}):\n${out}")
  endif()
  set(out "${out}" PARENT_SCOPE)
endfunction()

function(expect_same what)
  file(SHA256 "${work}/consumer.png" expected)
  file(SHA256 "${work}/${what}.png" got)
  if(NOT got STREQUAL expected)
    message(FATAL_ERROR "${what} drew another picture than consumer")
  endif()
endfunction()

run(${CMAKE_COMMAND} --install "${BUILD}" --prefix "${work}/prefix")
file(RENAME "${work}/prefix" "${prefix}")
run(${TINY_MODEL} "${work}")
set(model "${work}/tiny.safetensors")

# Through the CMake package.
run(${CMAKE_COMMAND} -S "${SOURCE}" -B "${work}/build" -G "${GENERATOR}" -DCMAKE_BUILD_TYPE=Release
    "-DCMAKE_PREFIX_PATH=${prefix}" "-DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}")
run(${CMAKE_COMMAND} --build "${work}/build")
run("${work}/build/consumer" "${model}" "${work}/consumer.png")

# Through pkg-config: the same program, and C's.
set(ENV{PKG_CONFIG_PATH} "${prefix}/${LIBDIR}/pkgconfig")
run(${PKG_CONFIG} --cflags --libs easel)
separate_arguments(flags UNIX_COMMAND "${out}")
run(${CXX} "${SOURCE}/consumer.cpp" "-DEASEL_DATA_DIR=\"${prefix}/share/easel\"" -o "${work}/by_name" ${flags})
run("${work}/by_name" "${model}" "${work}/by_name.png")
expect_same(by_name)
run(${PKG_CONFIG} --cflags --libs easel_c)
separate_arguments(flags UNIX_COMMAND "${out}")
run(${CC} -std=c99 -Wall -Wextra -pedantic -Werror "${SOURCE}/../capi/draw.c" -o "${work}/draw" ${flags}
    "-Wl,-rpath,${prefix}/${LIBDIR}")
set(words "a photograph of an astronaut riding a horse")
run("${work}/draw" "${model}" "${words}" "${work}/draw.png" W=64 H=64 steps=2)

foreach(program txt2img img2img easel-checkpoint easel-train easel-upscale)
  run("${prefix}/bin/${program}" --version)
  foreach(manual man/man1/${program}.1 bash-completion/completions/${program}
      zsh/site-functions/_${program} fish/vendor_completions.d/${program}.fish)
    file(SIZE "${prefix}/share/${manual}" size)
    if(size LESS 100)
      message(FATAL_ERROR "share/${manual} holds ${size} bytes")
    endif()
  endforeach()
endforeach()
run("${prefix}/bin/txt2img" --ckpt "${model}" --prompt "${words}" --sampler unipc --steps 10 --H 512 --W 512
    --no-metadata -o "${work}/txt2img.png" --quiet)
expect_same(txt2img)

# The README shows the consumer.
file(READ "${SOURCE}/consumer.cpp" consumer)
file(READ "${SOURCE}/../../README.md" readme)
string(FIND "${readme}" "${consumer}" at)
if(at EQUAL -1)
  message(FATAL_ERROR "README.md does not have tests/install/consumer.cpp as its example")
endif()
