# impasto_cpu_isa_sources(TARGET): adds the vectorised kernels to TARGET, compiled once for each instruction set of the
# target processor. ISO C++ turns off the contraction of a * b + c to a fused multiply-add, which halves their speed;
# without -fno-math-errno and -fno-trapping-math loops with a square root or a choice are not vectorised. None of the
# three lets the compiler reorder a sum.
function(impasto_cpu_isa_sources target)
  set(dir ${PROJECT_SOURCE_DIR}/kernels/cpu/isa)
  set(common -O3 -ffp-contract=fast -fno-math-errno -fno-trapping-math)
  if(IMPASTO_FUZZ)  # what is fuzzed reads files and computes nothing: instrumented, these would take half of the build
    set(common -O1 -fno-sanitize=all)
  endif()
  set(isas baseline)
  set(baseline_flags)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    list(APPEND isas avx2 avx512)
    set(avx2_flags -mavx2 -mfma)
    set(avx512_flags -mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
    target_compile_definitions(${target} PRIVATE IMPASTO_CPU_X86)
  endif()
  foreach(isa IN LISTS isas)
    target_sources(${target} PRIVATE ${dir}/${isa}.cpp)
    set_source_files_properties(${dir}/${isa}.cpp PROPERTIES COMPILE_OPTIONS "${common};${${isa}_flags}")
  endforeach()
endfunction()
