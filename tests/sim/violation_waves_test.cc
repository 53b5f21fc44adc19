// Which waves a command line asks for, and the two processes of waves around a violation, with runs that only say what
// they would meet.
#include "sim/violation_waves.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace postern::sim {
namespace {

constexpr uint64_t kUs = 1'000'000;  // in ps

TEST(WaveOptionsTest, NoFileIsNoWaves) {
  const Result<WavePlan> plan = plan_waves({});
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(plan.value().request.path.empty());
  EXPECT_FALSE(plan.value().around_violation);
}

TEST(WaveOptionsTest, AWindowIsInMicroseconds) {
  const Result<WavePlan> plan = plan_waves({"run.fst", "300", "20", ""});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan.value().request.path, "run.fst");
  EXPECT_EQ(plan.value().request.from_ps, 300 * kUs);
  EXPECT_EQ(plan.value().request.until_ps, 320 * kUs);
  EXPECT_FALSE(plan.value().request.only_check || plan.value().around_violation);
}

TEST(WaveOptionsTest, AroundAViolationTheFirstRunOnlyChecksThatWavesCanBeWritten) {
  const Result<WavePlan> plan = plan_waves({"run.fst", "", "", "7"});
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(plan.value().request.only_check && plan.value().around_violation);
  EXPECT_EQ(plan.value().before_ps, 7 * kUs);
}

std::string refusal(const WaveOptions& options) {
  const Result<WavePlan> plan = plan_waves(options);
  return plan.ok() ? "accepted" : plan.error().message;
}

TEST(WaveOptionsTest, ContradictionsAreRefusedWithWhatToDo) {
  EXPECT_NE(refusal({"", "", "", "5"}).find("expected --wave FILE.fst"), std::string::npos);
  EXPECT_NE(refusal({"f", "1", "", "5"}).find("leave out --wave-from-us"), std::string::npos);
  EXPECT_NE(refusal({"f", "", "1", "5"}).find("leave out --wave-from-us"), std::string::npos);
  EXPECT_NE(refusal({"f", "", "", "-5"}).find("expected whole microseconds"), std::string::npos);
  EXPECT_NE(refusal({"f", "", "x", ""}).find("--wave-for-us x: expected whole microseconds"), std::string::npos);
}

TEST(WaveFilesTest, OneNicHasTheFileAndEachOfSeveralOneWithItsHostsName) {
  EXPECT_EQ(wave_files("d.x/run.fst", {"a"}), std::vector<std::string>{"d.x/run.fst"});
  EXPECT_EQ(wave_files("d.x/run.fst", {"a", "b"}), (std::vector<std::string>{"d.x/run.a.fst", "d.x/run.b.fst"}));
  EXPECT_EQ(wave_files("run", {"a", "b"}), (std::vector<std::string>{"run.a", "run.b"}));
}

class ViolationWavesTest : public testing::Test {
 protected:
  void SetUp() override {
    plan_ = plan_waves({file_, "", "", "5"}).value();
    (void)std::filesystem::remove(file_);
  }
  void TearDown() override { (void)std::filesystem::remove(file_); }

  static Violation violation(uint64_t time_ps, uint32_t vi_id = 3, Rule rule = Rule::kR5) {
    Violation made;
    made.time_ps = time_ps;
    made.vi_id = vi_id;
    made.rule = rule;
    return made;
  }
  // A run that meets these, of host 1, and "records" what it was asked for.
  static ViolationWaves::Repeat meeting(const std::vector<Violation>& met) {
    return [met](const WaveRequest& request, const HostViolationListener& violated) -> Status {
      for (const Violation& one : met) violated(1, one);
      std::ofstream(request.path) << request.only_check << " " << request.from_ps << " " << request.until_ps;
      return {};
    };
  }
  std::string recorded() const {
    std::ifstream file(file_);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static std::string name(uint32_t host_idx) { return "host" + std::to_string(host_idx); }

  const std::string file_ = testing::TempDir() + "postern_" + std::to_string(getpid()) + "_violation.fst";
  const std::vector<std::string> files_{"run.a.fst", "run.b.fst"};
  WavePlan plan_;
  ViolationWaves waves_;
};

TEST_F(ViolationWavesTest, TheWindowIsAroundTheFirstViolation) {
  ASSERT_TRUE(waves_.start(plan_, meeting({violation(40 * kUs), violation(50 * kUs)})).ok());
  const HostViolationListener listener = waves_.listener();
  listener(1, violation(40 * kUs));
  listener(0, violation(45 * kUs));
  EXPECT_TRUE(waves_.called_for());
  const Result<std::string> said = waves_.finish(name, files_);
  ASSERT_TRUE(said.ok()) << said.error().message;
  EXPECT_NE(
      said.value().find("35.000000 to 41.000000 us, around R5 of host host1 at 40.000000 us: run.a.fst, run.b.fst"),
      std::string::npos)
      << said.value();
  EXPECT_EQ(recorded(), "0 35000000 41000000");
}

TEST_F(ViolationWavesTest, TheWindowOfAnEarlyViolationBeginsWithTheRun) {
  ASSERT_TRUE(waves_.start(plan_, meeting({violation(2 * kUs)})).ok());
  waves_.listener()(1, violation(2 * kUs));
  ASSERT_TRUE(waves_.finish(name, files_).ok());
  EXPECT_EQ(recorded(), "0 0 3000000");
}

TEST_F(ViolationWavesTest, WithoutAViolationNothingIsRepeatedAndThatIsSaid) {
  ASSERT_TRUE(waves_.start(plan_, meeting({})).ok());
  EXPECT_FALSE(waves_.called_for());
  const Result<std::string> said = waves_.finish(name, files_);
  ASSERT_TRUE(said.ok());
  EXPECT_NE(said.value().find("no violation by an RTL NIC, so there are no waves in run.a.fst, run.b.fst"),
            std::string::npos)
      << said.value();
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(ViolationWavesTest, ARepetitionThatMeetsTheViolationAtAnotherTimeIsAnError) {
  ASSERT_TRUE(waves_.start(plan_, meeting({violation(40 * kUs + 1)})).ok());
  waves_.listener()(1, violation(40 * kUs));
  const Result<std::string> said = waves_.finish(name, files_);
  ASSERT_FALSE(said.ok());
  EXPECT_NE(said.error().message.find("at 40.000000 us, its repetition's R5 of host host1 at 40.000001 us"),
            std::string::npos)
      << said.error().message;
  EXPECT_NE(said.error().message.find("not deterministic"), std::string::npos);
}

TEST_F(ViolationWavesTest, ARepetitionThatMeetsAnotherRuleOrViOrHostIsAnError) {
  ASSERT_TRUE(waves_.start(plan_, meeting({violation(40 * kUs, 4)})).ok());
  waves_.listener()(1, violation(40 * kUs));
  EXPECT_FALSE(waves_.finish(name, files_).ok());
  ViolationWaves other_rule;
  ASSERT_TRUE(other_rule.start(plan_, meeting({violation(40 * kUs, 3, Rule::kR4)})).ok());
  other_rule.listener()(1, violation(40 * kUs));
  EXPECT_FALSE(other_rule.finish(name, files_).ok());
  ViolationWaves other_host;
  ASSERT_TRUE(other_host.start(plan_, meeting({violation(40 * kUs)})).ok());
  other_host.listener()(0, violation(40 * kUs));
  EXPECT_FALSE(other_host.finish(name, files_).ok());
}

TEST_F(ViolationWavesTest, ARepetitionThatMeetsNoViolationIsAnError) {
  ASSERT_TRUE(waves_.start(plan_, meeting({})).ok());
  waves_.listener()(1, violation(40 * kUs));
  const Result<std::string> said = waves_.finish(name, files_);
  ASSERT_FALSE(said.ok());
  EXPECT_NE(said.error().message.find("its repetition's none: runs are not deterministic"), std::string::npos)
      << said.error().message;
}

TEST_F(ViolationWavesTest, ARepetitionThatFailsBeforeTheViolationSaysWhyAndNoMore) {
  const auto fails = [](const WaveRequest&, const HostViolationListener&) -> Status {
    return Error{EIO, "the disk is full"};
  };
  ASSERT_TRUE(waves_.start(plan_, fails).ok());
  waves_.listener()(1, violation(40 * kUs));
  const Result<std::string> said = waves_.finish(name, files_);
  ASSERT_FALSE(said.ok());
  EXPECT_NE(said.error().message.find("failed before it: the disk is full"), std::string::npos) << said.error().message;
  EXPECT_EQ(said.error().message.find("deterministic"), std::string::npos) << said.error().message;
}

TEST_F(ViolationWavesTest, ARepetitionThatFailsBehindTheViolationHasItsWaves) {
  const auto fails = [](const WaveRequest&, const HostViolationListener& violated) -> Status {
    violated(1, violation(40 * kUs));
    return Error{ECANCELED, "the run ended before its hosts had started"};
  };
  ASSERT_TRUE(waves_.start(plan_, fails).ok());
  waves_.listener()(1, violation(40 * kUs));
  EXPECT_TRUE(waves_.finish(name, files_).ok());
}

TEST_F(ViolationWavesTest, ARepetitionThatDiesIsAnError) {
  const auto dies = [](const WaveRequest&, const HostViolationListener&) -> Status {
    (void)kill(getpid(), SIGKILL);
    return {};
  };
  ASSERT_TRUE(waves_.start(plan_, dies).ok());
  waves_.listener()(1, violation(40 * kUs));
  const Result<std::string> said = waves_.finish(name, files_);
  ASSERT_FALSE(said.ok());
  EXPECT_NE(said.error().message.find("ended early (signal 9)"), std::string::npos) << said.error().message;
}

TEST_F(ViolationWavesTest, WhoeverGivesUpDoesNotWaitForTheRepetition) {
  const auto lasts = [](const WaveRequest&, const HostViolationListener&) -> Status {
    (void)sleep(600);
    return {};
  };
  ViolationWaves given_up;
  ASSERT_TRUE(given_up.start(plan_, lasts).ok());
  given_up.listener()(1, violation(40 * kUs));
}

}  // namespace
}  // namespace postern::sim
