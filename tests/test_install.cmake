# Installs BUILD into a fresh prefix under WORK, moves that prefix, and builds and runs tests/install_consumer against it
# through find_package and through pkg-config. Run by CTest as `cmake -DBUILD=... -DSOURCE=... -DWORK=... -P`.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    string(JOIN " " command ${ARGN})
    message(FATAL_ERROR "${command}: expected exit status 0, found ${result}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/installed)
file(RENAME ${WORK}/installed ${WORK}/moved)

run(${CMAKE_COMMAND} -S ${SOURCE}/tests/install_consumer -B ${WORK}/consumer -DCMAKE_PREFIX_PATH=${WORK}/moved
  -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER_LAUNCHER=)
run(${CMAKE_COMMAND} --build ${WORK}/consumer)
run(${CMAKE_COMMAND} -E chdir ${WORK} ${WORK}/consumer/consumer)
message(STATUS "find_package: ${output}")

file(GLOB_RECURSE pc ${WORK}/moved/*/impasto.pc)
get_filename_component(pc_dir ${pc} DIRECTORY)
set(ENV{PKG_CONFIG_PATH} ${pc_dir})
run(pkg-config --cflags --libs impasto)
separate_arguments(flags UNIX_COMMAND "${output}")
get_filename_component(lib_dir ${pc_dir} DIRECTORY)
run(${COMPILER} ${SOURCE}/tests/install_consumer/main.cpp -o ${WORK}/by_pkg_config ${flags} -Wl,-rpath,${lib_dir})
run(${CMAKE_COMMAND} -E chdir ${WORK} ${WORK}/by_pkg_config)

# The kernels stay inside.
file(GLOB library ${lib_dir}/libimpasto.so)
run(nm --dynamic --demangle --defined-only ${library})
string(REGEX MATCHALL "[^\n]* [A-Za-z] [a-z ]*impasto::(cpu|reference)::[^\n]*" kernels "${output}")
if(NOT output MATCHES "impasto::Stylizer::" OR kernels)
  message(FATAL_ERROR "libimpasto.so: expected the engine's names and no kernel's, found ${kernels}")
endif()

# Whoever uses the library needs its headers and the standard library's alone.
file(GLOB_RECURSE headers ${WORK}/moved/include/*.h)
foreach(header IN LISTS headers)
  file(STRINGS ${header} others REGEX "#include <[^>]*[/.]")
  if(others)
    message(FATAL_ERROR "${header}: expected the standard library's headers alone, found ${others}")
  endif()
endforeach()

run(${WORK}/moved/bin/impasto --version)
foreach(file share/man/man1/impasto.1 share/bash-completion/completions/impasto share/impasto/weights_tools/fetch.py)
  if(NOT EXISTS ${WORK}/moved/${file})
    message(FATAL_ERROR "installation: expected ${file}, found none")
  endif()
endforeach()
# Nothing looks for libraries in the current folder.
run(${PYTHON} ${SOURCE}/scripts/runpaths.py --check ${WORK}/moved)
file(WRITE ${WORK}/hostile/liblcms2.so.2 "no library")
run(${CMAKE_COMMAND} -E chdir ${WORK}/hostile ${WORK}/moved/bin/impasto --version)

# The tools are the installation's, never those of the source tree.
set(tools ${WORK}/moved/share/impasto/weights_tools)
file(RENAME ${tools} ${WORK}/tools)
execute_process(COMMAND ${WORK}/moved/bin/impasto weights convert none none.h5 RESULT_VARIABLE result ERROR_VARIABLE output)
if(NOT result EQUAL 3 OR NOT output MATCHES "convert.py: expected in '${tools}', found none")
  message(FATAL_ERROR "installation: expected none but its own tools to be run, found exit status ${result}\n${output}")
endif()

run(${WORK}/moved/bin/impasto completion bash)
file(READ ${WORK}/moved/share/bash-completion/completions/impasto completion)
if(NOT completion STREQUAL output)
  message(FATAL_ERROR "installation: expected the program's own completion, found another\n${completion}")
endif()
file(REMOVE_RECURSE ${WORK})
