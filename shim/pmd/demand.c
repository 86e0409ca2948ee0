#include "pmd/demand.h"

struct demand demand;
