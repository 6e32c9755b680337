// Compiled with the flags of cmake/isa.cmake.
#define IMPASTO_ISA avx512
#include "kernels/cpu/isa/table.h"
