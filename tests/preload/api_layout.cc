// The same as C++.
#include "api_layout.c"
