// The Verilated pst_nic_top. Include it before anything that includes SystemC: Verilator's headers would take the time
// from a SystemC that is there already.
#pragma once

#include "Vpst_nic_top.h"
