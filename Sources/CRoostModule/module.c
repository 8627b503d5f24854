#include "roost_module.h"
