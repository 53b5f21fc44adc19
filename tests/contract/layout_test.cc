// Layouts of the contract typed by hand from docs/contract.md, byte for byte. They share nothing with the generator, so
// that a mistake in it does not confirm itself.
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "contract/gen/pst_contract.h"

namespace {

template <size_t kSize, typename Struct>
std::array<uint8_t, kSize> bytes_of(const Struct& value) {
  static_assert(sizeof(Struct) == kSize);
  std::array<uint8_t, kSize> bytes;
  std::memcpy(bytes.data(), &value, kSize);
  return bytes;
}

TEST(ContractLayoutTest, RxDescriptorMatchesBytesTypedByHand) {
  pst_rx_desc desc{};
  pst_rx_desc_set_address(&desc, 0x1122334455667788);
  pst_rx_desc_set_length_bytes(&desc, 0x0800);
  pst_rx_desc_set_flags(&desc, 0xa55a);
  const std::array<uint8_t, 16> expected = {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,  //
                                            0x00, 0x08, 0x5a, 0xa5, 0x00, 0x00, 0x00, 0x00};
  EXPECT_EQ(bytes_of<16>(desc), expected);
}

TEST(ContractLayoutTest, TxDescriptorMatchesBytesTypedByHand) {
  pst_tx_desc desc{};
  pst_tx_desc_set_address(&desc, 0x0000000000003040);
  pst_tx_desc_set_length_bytes(&desc, 1514);
  pst_tx_desc_set_type(&desc, 0);
  pst_tx_desc_set_end_of_packet(&desc, 1);
  pst_tx_desc_set_checksum_l4(&desc, 1);
  pst_tx_desc_set_complete(&desc, 1);
  const std::array<uint8_t, 16> expected = {0x40, 0x30, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  //
                                            0xea, 0x05, 0x94, 0x00, 0x00, 0x00, 0x00, 0x00};
  EXPECT_EQ(bytes_of<16>(desc), expected);
}

TEST(ContractLayoutTest, TxOptionDescriptorHasItsTypeWhereADataDescriptorHasIt) {
  pst_tx_option_desc option{};
  pst_tx_option_desc_set_type(&option, 1);
  pst_tx_option_desc_set_mss_bytes(&option, 1448);
  const std::array<uint8_t, 16> expected = {0xa8, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  //
                                            0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00};
  EXPECT_EQ(bytes_of<16>(option), expected);
}

TEST(ContractLayoutTest, RxEventMatchesBytesTypedByHand) {
  pst_rx_event event{};
  pst_rx_event_set_type(&event, 1);
  pst_rx_event_set_checksum_l3(&event, 1);
  pst_rx_event_set_checksum_l4(&event, 2);
  pst_rx_event_set_error_class(&event, 1);
  pst_rx_event_set_l3_class(&event, 1);
  pst_rx_event_set_l4_class(&event, 2);
  pst_rx_event_set_length_bytes(&event, 0x05ea);
  pst_rx_event_set_desc_count(&event, 3);
  pst_rx_event_set_multicast(&event, 1);
  pst_rx_event_set_rx_consumer_idx(&event, 0xdeadbeef);
  pst_rx_event_set_overflow_mark(&event, 1);
  pst_rx_event_set_phase(&event, 1);
  const std::array<uint8_t, 16> expected = {0x91, 0x91, 0xea, 0x05, 0x03, 0x02, 0x00, 0x00,  //
                                            0xef, 0xbe, 0xad, 0xde, 0x00, 0x00, 0x00, 0xc0};
  EXPECT_EQ(bytes_of<16>(event), expected);
}

TEST(ContractLayoutTest, TxEventMatchesBytesTypedByHand) {
  pst_tx_event event{};
  pst_tx_event_set_type(&event, 2);
  pst_tx_event_set_timestamp_valid(&event, 1);
  pst_tx_event_set_timestamp_ns(&event, 0x060504030201);
  pst_tx_event_set_tx_consumer_idx(&event, 0x01020304);
  pst_tx_event_set_phase(&event, 1);
  const std::array<uint8_t, 16> expected = {0x12, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06,  //
                                            0x04, 0x03, 0x02, 0x01, 0x00, 0x00, 0x00, 0x80};
  EXPECT_EQ(bytes_of<16>(event), expected);
}

TEST(ContractLayoutTest, AdminCompletionMatchesBytesTypedByHand) {
  pst_admin_completion completion{};
  pst_admin_completion_set_command_id(&completion, 0x1234);
  pst_admin_completion_set_status(&completion, 5);
  pst_admin_completion_set_result(&completion, 0x0a0b0c0d);
  pst_admin_completion_set_phase(&completion, 1);
  const std::array<uint8_t, 16> expected = {0x34, 0x12, 0x05, 0x00, 0x0d, 0x0c, 0x0b, 0x0a,  //
                                            0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80};
  EXPECT_EQ(bytes_of<16>(completion), expected);
}

TEST(ContractLayoutTest, ViAllocCommandMatchesBytesTypedByHand) {
  pst_command command{};
  pst_command_set_opcode(&command, 5);
  pst_command_set_command_id(&command, 0x0102);
  pst_command_set_target_id(&command, 7);
  pst_vi_alloc_set_rx_ring_address(&command, 0x1000);
  pst_vi_alloc_set_tx_ring_address(&command, 0x3000);
  pst_vi_alloc_set_evq_address(&command, 0x0000000100005000);
  pst_vi_alloc_set_rx_entries(&command, 512);
  pst_vi_alloc_set_tx_entries(&command, 256);
  pst_vi_alloc_set_evq_entries(&command, 2048);
  pst_vi_alloc_set_evq_policy(&command, 2);
  pst_vi_alloc_set_vlan_strip(&command, 1);
  pst_vi_alloc_set_merge_count(&command, 4);
  pst_vi_alloc_set_vector(&command, 0xffff);
  pst_vi_alloc_set_weight(&command, 9);
  pst_vi_alloc_set_holdoff_ns(&command, 20000);
  pst_vi_alloc_set_holdoff_events(&command, 8);
  pst_vi_alloc_set_rate_limit_mbps(&command, 1000);
  const std::array<uint8_t, 64> expected = {
      0x05, 0x00, 0x02, 0x01, 0x07, 0x00, 0x00, 0x00,  // opcode, flags, command id, target
      0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // RX ring
      0x00, 0x30, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // TX ring
      0x00, 0x50, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,  // event queue
      0x00, 0x02, 0x00, 0x01, 0x00, 0x08, 0x12, 0x04,  // entries, policy and flags, merge count
      0xff, 0xff, 0x09, 0x00, 0x20, 0x4e, 0x00, 0x00,  // vector, weight, hold-off time
      0x08, 0x00, 0x00, 0x00, 0xe8, 0x03, 0x00, 0x00,  // hold-off events, rate limit
      0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
  EXPECT_EQ(bytes_of<64>(command), expected);
}

TEST(ContractLayoutTest, FilterInsertCommandMatchesBytesTypedByHand) {
  // TCP from 10.9.0.2:40000 to 10.9.0.1:80, steered to VI 3.
  pst_command command{};
  pst_command_set_opcode(&command, 8);
  pst_command_set_command_id(&command, 0xbeef);
  pst_command_set_target_id(&command, 3);
  pst_filter_insert_set_match(&command, 0);
  pst_filter_insert_set_family(&command, 1);
  pst_filter_insert_set_replicate(&command, 1);
  pst_filter_insert_set_protocol(&command, 6);
  pst_filter_insert_set_ethertype(&command, 0x0800);
  pst_filter_insert_set_vlan_id(&command, 0xabc);
  pst_filter_insert_set_local_port(&command, 80);
  pst_filter_insert_set_remote_port(&command, 40000);
  pst_filter_insert_set_rss_context(&command, 0x11);
  pst_filter_insert_set_local_address_lo(&command, 0x0100090a);
  pst_filter_insert_set_remote_address_lo(&command, 0x0200090a);
  const std::array<uint8_t, 64> expected = {
      0x08, 0x00, 0xef, 0xbe, 0x03, 0x00, 0x00, 0x00,  // opcode, flags, command id, target
      0x10, 0x01, 0x06, 0x00, 0x00, 0x08, 0xbc, 0x0a,  // match and family, flags, protocol, ethertype, VLAN
      0x50, 0x00, 0x40, 0x9c, 0x11, 0x00, 0x00, 0x00,  // ports, RSS context
      0x0a, 0x09, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00,  // local address: network byte order in memory
      0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  //
      0x0a, 0x09, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00,  // remote address
      0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  //
      0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
  EXPECT_EQ(bytes_of<64>(command), expected);
}

TEST(ContractLayoutTest, RegisterOffsetsMatchNumbersTypedByHand) {
  EXPECT_EQ(PST_FUNCTION_MAGIC_OFFSET, 0x00u);
  EXPECT_EQ(PST_FUNCTION_VERSION_OFFSET, 0x04u);
  EXPECT_EQ(PST_FUNCTION_CONTRACT_HASH_OFFSET, 0x08u);
  EXPECT_EQ(PST_FUNCTION_STATUS_OFFSET, 0x18u);
  EXPECT_EQ(PST_FUNCTION_RESET_OFFSET, 0x1cu);
  EXPECT_EQ(PST_FUNCTION_ADMIN_SQ_BASE_OFFSET, 0x40u);
  EXPECT_EQ(PST_FUNCTION_ADMIN_CQ_BASE_OFFSET, 0x48u);
  EXPECT_EQ(PST_FUNCTION_ADMIN_DOORBELL_OFFSET, 0x58u);
  EXPECT_EQ(PST_FUNCTION_ADMIN_STATUS_OFFSET, 0x64u);
  EXPECT_EQ(PST_CLOCK_PAGE_OFFSET, 0x1000u);
  EXPECT_EQ(PST_CLOCK_TIME_NS_OFFSET, 0x0u);
  EXPECT_EQ(PST_CLOCK_SLEEPING_OFFSET, 0x8u);
  EXPECT_EQ(PST_VI_WINDOW_STRIDE, 0x2000u);
  EXPECT_EQ(PST_VI_PIO_PAGE_OFFSET, 0x1000u);
  EXPECT_EQ(PST_VI_RX_DOORBELL_OFFSET, 0x00u);
  EXPECT_EQ(PST_VI_TX_DOORBELL_OFFSET, 0x08u);
  EXPECT_EQ(PST_VI_EVQ_CONSUMER_OFFSET, 0x10u);
  EXPECT_EQ(PST_VI_EVQ_PRIME_OFFSET, 0x18u);
  EXPECT_EQ(PST_VI_TIMER_OFFSET, 0x20u);
  EXPECT_EQ(PST_VI_PIO_DOORBELL_OFFSET, 0x28u);
}

TEST(ContractLayoutTest, RegisterFieldsMatchMasksTypedByHand) {
  EXPECT_EQ(PST_FUNCTION_VERSION_MAJOR_MASK, 0xffff0000u);
  EXPECT_EQ(PST_FUNCTION_STATUS_LINK_UP_MASK, 0x2u);
  EXPECT_EQ(PST_VI_EVQ_PRIME_SEQUENCE_SHIFT, 32u);
  EXPECT_EQ(PST_VI_EVQ_PRIME_SEQUENCE_MASK, 0x0000ffff00000000ull);
  EXPECT_EQ(PST_VI_PIO_DOORBELL_LENGTH_BYTES_MASK, 0x03fff00000000000ull);
}

TEST(ContractLayoutTest, SettersKeepNeighboursAndIgnoreExcessBits) {
  pst_tx_desc desc;
  desc.word[0] = desc.word[1] = ~0ull;
  pst_tx_desc_set_length_bytes(&desc, 0x12340000);
  EXPECT_EQ(desc.word[0], ~0ull);
  EXPECT_EQ(desc.word[1], 0xffffffffffff0000ull);
  EXPECT_EQ(pst_tx_desc_get_length_bytes(&desc), 0u);
  EXPECT_EQ(pst_tx_desc_get_type(&desc), 3u);
}

TEST(ContractLayoutTest, NamesOfValuesAreKnownAndOthersAreMarked) {
  EXPECT_STREQ(pst_drop_reason_name(PST_DROP_REASON_RX_NO_FILTER), "RX_NO_FILTER");
  EXPECT_STREQ(pst_error_code_name(8), "DMA_FAULT");
  EXPECT_STREQ(pst_error_code_name(999), "?");
  EXPECT_STREQ(pst_command_name(PST_COMMAND_VI_ALLOC), "VI_ALLOC");
}

}  // namespace
