/* Compiled without any C library header and with the kernel's language level: pst_contract.h fits into a kernel module. */
#include "contract/gen/pst_contract.h"

extern int descriptor_is_last(const struct pst_tx_desc* desc);

int descriptor_is_last(const struct pst_tx_desc* desc) { return pst_tx_desc_get_end_of_packet(desc) != 0; }
