// Compiled with the flags of cmake/isa.cmake.
#define IMPASTO_ISA baseline
#include "kernels/cpu/isa/table.h"
