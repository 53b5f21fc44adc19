/* The contract header is plain C11 without extensions: this file is compiled with -std=c11 -pedantic -Werror. */
#include <stdio.h>

#include "contract/gen/pst_contract.h"

_Static_assert(sizeof(struct pst_rx_desc) == PST_RX_DESC_BYTES, "RX descriptor size");
_Static_assert(sizeof(struct pst_event) == PST_EVENT_BYTES, "event size");
_Static_assert(sizeof(struct pst_command) == PST_COMMAND_BYTES, "command size");
_Static_assert(sizeof(struct pst_port_statistics) == PST_PORT_STATISTICS_BYTES, "statistics size");
#if PST_LIMIT_RING_ENTRIES_MAX < PST_LIMIT_RING_ENTRIES_MIN
#error "limits are usable in preprocessor conditions"
#endif

int main(void) {
  struct pst_tx_desc desc = {{0, 0}};
  pst_tx_desc_set_type(&desc, PST_TX_DESC_TYPE_OPTION);
  pst_tx_desc_set_length_bytes(&desc, 60);
  if (pst_tx_desc_get_type(&desc) != PST_TX_DESC_TYPE_OPTION || pst_tx_desc_get_length_bytes(&desc) != 60) {
    fprintf(stderr, "c11_compile_test: a field does not read back\n");
    return 1;
  }
  return 0;
}
