// The Verilated pst_nic_top. Verilator's headers would take the time from a SystemC that has been included before them;
// here time is the device's, so they do not get to see it.
#pragma once

#pragma push_macro("SYSTEMC_VERSION")
#undef SYSTEMC_VERSION
#include "Vpst_nic_top.h"
#pragma pop_macro("SYSTEMC_VERSION")
