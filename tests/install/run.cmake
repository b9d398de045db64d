# cmake -DBUILD=<build folder> -DSOURCE=<this folder> -P run.cmake: installs Easel into a folder of its
# own, builds the consumer project against it, and runs that and an installed program.
set(work "${BUILD}/tests/install")
file(REMOVE_RECURSE "${work}")

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "${ARGN}\nfailed (${code}):\n${out}")
  endif()
  set(out "${out}" PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install "${BUILD}" --prefix "${work}/prefix")
run(${CMAKE_COMMAND} -S "${SOURCE}" -B "${work}/build" -G "${GENERATOR}" -DCMAKE_BUILD_TYPE=Release
    "-DCMAKE_PREFIX_PATH=${work}/prefix" "-DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}")
run(${CMAKE_COMMAND} --build "${work}/build")
run(${CMAKE_COMMAND} -E chdir "${work}" "${work}/build/consumer")
if(NOT out MATCHES "8x8")
  message(FATAL_ERROR "the consumer printed: ${out}")
endif()

foreach(program txt2img img2img easel-checkpoint)
  run("${work}/prefix/bin/${program}" --version)
endforeach()
foreach(data configs/stable-diffusion/v1-inference.yaml clip/bpe_simple_vocab_16e6.txt.gz)
  if(NOT EXISTS "${work}/prefix/share/easel/${data}")
    message(FATAL_ERROR "share/easel/${data} is not installed")
  endif()
endforeach()
