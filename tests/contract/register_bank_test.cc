// RegisterBank holds a block by the rules of its generated table: access policies, halves, reset values, callbacks.
#include "contract/gen/register_bank.h"

#include <gtest/gtest.h>

#include <string>

#include "contract/gen/pst_contract.h"

namespace postern::contract {
namespace {

uint64_t read_value(const RegisterBank& bank, uint32_t offset, unsigned width_bytes) {
  uint64_t value = 0;
  EXPECT_EQ(bank.read(offset, width_bytes, value), AccessOutcome::kOk);
  return value;
}

TEST(RegisterBankTest, TablesCarryTheContractsResetValues) {
  const RegisterBank bank(kFunctionRegisters);
  EXPECT_EQ(read_value(bank, PST_FUNCTION_MAGIC_OFFSET, 4), PST_MAGIC);
  EXPECT_EQ(read_value(bank, PST_FUNCTION_CONTRACT_HASH_OFFSET, 8), PST_CONTRACT_HASH);
  EXPECT_EQ(read_value(bank, PST_FUNCTION_VERSION_OFFSET, 4), PST_CONTRACT_VERSION);
  EXPECT_EQ(read_value(bank, PST_FUNCTION_ADMIN_VECTOR_OFFSET, 4), 0xffffu);
}

TEST(RegisterBankTest, WriteToReadOnlyRegisterIsIgnoredAndReported) {
  RegisterBank bank(kFunctionRegisters);
  EXPECT_EQ(bank.write(PST_FUNCTION_MAGIC_OFFSET, 4, 1), AccessOutcome::kReadOnly);
  EXPECT_EQ(read_value(bank, PST_FUNCTION_MAGIC_OFFSET, 4), PST_MAGIC);
}

TEST(RegisterBankTest, WriteOnlyRegisterReadsZeroButCallsBack) {
  RegisterBank bank(kFunctionRegisters);
  uint64_t seen = 0;
  bank.on_write(PST_FUNCTION_RESET_OFFSET, [&](const RegisterInfo&, uint64_t value) { seen = value; });
  EXPECT_EQ(bank.write(PST_FUNCTION_RESET_OFFSET, 4, PST_RESET_KEY), AccessOutcome::kOk);
  EXPECT_EQ(seen, PST_RESET_KEY);
  EXPECT_EQ(read_value(bank, PST_FUNCTION_RESET_OFFSET, 4), 0u);
}

TEST(RegisterBankTest, DoorbellReadsBackWithoutSideEffect) {
  RegisterBank bank(kViRegisters);
  int calls = 0;
  bank.on_any_write([&](const RegisterInfo& info, uint64_t) {
    ++calls;
    EXPECT_EQ(std::string(info.name), "TX_DOORBELL");
  });
  EXPECT_EQ(bank.write(PST_VI_TX_DOORBELL_OFFSET, 4, 17), AccessOutcome::kOk);
  EXPECT_EQ(read_value(bank, PST_VI_TX_DOORBELL_OFFSET, 4), 17u);
  EXPECT_EQ(read_value(bank, PST_VI_TX_DOORBELL_OFFSET, 4), 17u);
  EXPECT_EQ(calls, 1);
}

TEST(RegisterBankTest, SixtyFourBitDoorbellTriggersOnItsHighHalf) {
  RegisterBank bank(kViRegisters);
  int calls = 0;
  uint64_t seen = 0;
  bank.on_write(PST_VI_EVQ_PRIME_OFFSET, [&](const RegisterInfo&, uint64_t value) {
    ++calls;
    seen = value;
  });
  EXPECT_EQ(bank.write(PST_VI_EVQ_PRIME_OFFSET, 4, 5), AccessOutcome::kOk);
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(bank.write(PST_VI_EVQ_PRIME_OFFSET + 4, 4, 9), AccessOutcome::kOk);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(seen, 0x0000000900000005ull);
  EXPECT_EQ(read_value(bank, PST_VI_EVQ_PRIME_OFFSET + 4, 4), 9u);
}

TEST(RegisterBankTest, EightByteWriteToNarrowRegisterTakesTheLowHalf) {
  RegisterBank bank(kFunctionRegisters);
  EXPECT_EQ(bank.write(PST_FUNCTION_ADMIN_ENTRIES_OFFSET, 8, 0x0000000100000040ull), AccessOutcome::kOk);
  EXPECT_EQ(read_value(bank, PST_FUNCTION_ADMIN_ENTRIES_OFFSET, 8), 0x40u);
  EXPECT_EQ(read_value(bank, PST_FUNCTION_ADMIN_ENABLE_OFFSET, 4), 0u);
}

TEST(RegisterBankTest, MalformedAccessesHaveDefinedOutcomes) {
  RegisterBank bank(kViRegisters);
  uint64_t value = 1;
  EXPECT_EQ(bank.read(PST_VI_RX_DOORBELL_OFFSET + 2, 4, value), AccessOutcome::kBadWidth);
  EXPECT_EQ(value, 0u);
  EXPECT_EQ(bank.read(PST_VI_RX_DOORBELL_OFFSET, 2, value), AccessOutcome::kBadWidth);
  EXPECT_EQ(bank.write(PST_VI_EVQ_PRIME_OFFSET + 4, 8, 1), AccessOutcome::kBadWidth);
  EXPECT_EQ(bank.read(0xffc, 4, value), AccessOutcome::kNoRegister);
  EXPECT_EQ(bank.write(0x04, 4, 1), AccessOutcome::kNoRegister);
}

TEST(RegisterBankTest, ResetRestoresTableAndDeviceValues) {
  RegisterBank bank(kFunctionRegisters);
  bank.set_reset_value(PST_FUNCTION_VI_COUNT_OFFSET, 64);
  bank.set(PST_FUNCTION_STATUS_OFFSET, PST_FUNCTION_STATUS_FATAL_MASK);
  EXPECT_EQ(bank.write(PST_FUNCTION_ADMIN_ENTRIES_OFFSET, 4, 16), AccessOutcome::kOk);
  bank.reset();
  EXPECT_EQ(bank.get(PST_FUNCTION_VI_COUNT_OFFSET), 64u);
  EXPECT_EQ(bank.get(PST_FUNCTION_STATUS_OFFSET), 0u);
  EXPECT_EQ(bank.get(PST_FUNCTION_ADMIN_ENTRIES_OFFSET), 0u);
}

}  // namespace
}  // namespace postern::contract
