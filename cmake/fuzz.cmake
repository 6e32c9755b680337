# libFuzzer targets, built with Clang and -DIMPASTO_SANITIZE=fuzzer-no-link,address,undefined. CTest runs each for some
# seconds from the committed files of tests/golden/NAME; to go on, run bin/fuzz_NAME with a folder of its own.
file(GLOB fuzz_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/fuzz/fuzz_*.cpp)
foreach(source IN LISTS fuzz_sources)
  get_filename_component(name ${source} NAME_WE)
  string(REPLACE "fuzz_" "" subject ${name})
  add_executable(${name} ${source})
  if(TARGET impasto_${subject})  # its room alone
    target_link_libraries(${name} PRIVATE impasto_${subject} impasto_flags)
  else()
    target_link_libraries(${name} PRIVATE impasto_engine impasto_flags)
  endif()
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set(corpus ${PROJECT_BINARY_DIR}/corpus/${subject})
  file(MAKE_DIRECTORY ${corpus})
  add_test(NAME "fuzz: ${subject}" COMMAND ${name} -max_total_time=30 -seed=1 -rss_limit_mb=4096 -timeout=20
    ${corpus} ${PROJECT_SOURCE_DIR}/tests/golden/${subject})
endforeach()
