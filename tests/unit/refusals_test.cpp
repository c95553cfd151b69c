#include "daemon/refusals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace hutch::daemon {
namespace {

constexpr netns::Ipv4 kBox{0xC6120002};
constexpr netns::Ipv4 kOtherBox{0xC6120003};

class RefusalsTest : public testing::Test {
  protected:
    asio::io_context loop_;
    std::map<netns::Ipv4, std::string> owners_{{kBox, "b-1"}, {kOtherBox, "b-2"}};
    Refusals refusals_{loop_.get_executor(),
                       {.owner =
                            [this](netns::Ipv4 address) {
                                const auto found = owners_.find(address);
                                return found == owners_.end() ? "" : found->second;
                            },
                        .is_there =
                            [this](const std::string& id) {
                                return std::any_of(owners_.begin(), owners_.end(),
                                                   [&](const auto& owner) { return owner.second == id; });
                            }}};

    void take_in() {
        loop_.restart();
        loop_.run();
    }
    static RefusedFlow to(uint32_t destination, netns::Ipv4 box = kBox, RefusedBy rule = RefusedBy::kBlocked) {
        return {.box = box, .rule = rule, .protocol = "tcp", .destination = {destination}, .port = 443};
    }
};

TEST_F(RefusalsTest, TheSameIsOneEntryThatCounts) {
    for (int i = 0; i < 3; ++i) refusals_.note(to(1));
    take_in();
    refusals_.note(to(2));
    take_in();
    refusals_.note(to(1));
    take_in();
    const auto all = refusals_.of("b-1");
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].flow, to(2));
    EXPECT_EQ(all[1].flow, to(1));
    EXPECT_EQ(all[1].times, 4U);
    EXPECT_LE(all[1].first_ms, all[1].last_ms);
    EXPECT_EQ(refusals_.of("b-1", all[0].change).size(), 1U);
    EXPECT_TRUE(refusals_.of("b-1", all[1].change).empty());
    EXPECT_EQ(refusals_.noted(RefusedBy::kBlocked), 5U);
}

TEST_F(RefusalsTest, NoiseOfOneBoxOrOneRuleHidesNoOther) {
    refusals_.note(to(7, kBox, RefusedBy::kPolicy));
    for (uint32_t i = 0; i < 100'000; ++i) refusals_.note(to(i));
    refusals_.note(to(1, kOtherBox));
    take_in();
    for (uint32_t i = 0; i < 1000; ++i) {
        refusals_.note(to(i));
        take_in();
    }
    EXPECT_EQ(refusals_.of("b-2").size(), 1U);
    const auto all = refusals_.of("b-1");
    EXPECT_EQ(all.size(), Refusals::kKeptOfRule + 1);
    EXPECT_EQ(all.front().flow.rule, RefusedBy::kPolicy);
    EXPECT_GT(refusals_.dropped("b-1"), 0U);
    EXPECT_EQ(refusals_.dropped("b-2"), 0U);
}

TEST_F(RefusalsTest, AllBoxesTogetherAreBounded) {
    owners_.clear();
    constexpr uint32_t kBoxes = 2 * Refusals::kKept / Refusals::kKeptOfRule;
    for (uint32_t box = 1; box <= kBoxes; ++box) {
        owners_[{box}] = "b-" + std::to_string(box);
        for (uint32_t i = 0; i < Refusals::kKeptOfRule; ++i) refusals_.note(to(i, {box}));
        take_in();
    }
    size_t kept = 0;
    for (const auto& [address, id] : owners_) {
        EXPECT_GT(refusals_.of(id).size(), 0U) << id;
        kept += refusals_.of(id).size();
    }
    EXPECT_EQ(kept, Refusals::kKept);
}

TEST_F(RefusalsTest, WhoHasAnAddressLaterSeesNothingOfWhoHadItBefore) {
    refusals_.note(to(1));
    take_in();
    owners_[kBox] = "b-3";
    refusals_.note(to(2));
    take_in();
    ASSERT_EQ(refusals_.of("b-3").size(), 1U);
    EXPECT_TRUE(refusals_.of("b-1").empty()) << "nothing is kept of who is gone";
    refusals_.note(to(2, {0x0A000001}));  // nobody's
    take_in();
}

TEST_F(RefusalsTest, EachRuleHasANameAndASentence) {
    std::set<std::string> names;
    for (size_t i = 0; i < kRefusers; ++i) {
        names.insert(name_of(static_cast<RefusedBy>(i)));
        EXPECT_EQ(std::string(sentence_of(static_cast<RefusedBy>(i))).back(), '.');
    }
    EXPECT_EQ(names.size(), kRefusers);
}

}  // namespace
}  // namespace hutch::daemon
