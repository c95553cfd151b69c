// What the directory makes of etcd's rows, and where a box goes by it. The answers are etcd 3.4.23's own.

#include <gtest/gtest.h>

#include "daemon/base64.h"
#include "daemon/fleet/placement.h"

namespace hutch::daemon {
namespace {

// --- etcd's JSON ---

TEST(EtcdText, ATransactionSaysWhatItWaitsForAndDoes) {
    EtcdTxn txn;
    txn.absent = {"k"};
    txn.holding = {{"n", "v"}};
    txn.puts = {{"k", "w", 7}};
    txn.otherwise_reads = {"k"};
    EXPECT_EQ(etcd::txn_text(txn),
              R"({"compare":[{"create_revision":"0","key":"aw==","result":"EQUAL","target":"CREATE"},)"
              R"({"key":"bg==","result":"EQUAL","target":"VALUE","value":"dg=="}],)"
              R"("failure":[{"request_range":{"key":"aw=="}}],)"
              R"("success":[{"request_put":{"key":"aw==","lease":"7","value":"dw=="}}]})");
}

TEST(EtcdText, AnOutcomeWithoutTheWordWasNotDone) {
    const auto done = etcd::outcome_of(
        R"({"header":{"revision":"2"},"succeeded":true,"responses":[{"response_put":{"header":{"revision":"2"}}}]})");
    ASSERT_TRUE(done.ok());
    EXPECT_TRUE(done.value().done);
    const auto refused = etcd::outcome_of(
        R"({"header":{"revision":"2"},"responses":[{"response_range":{"kvs":[{"key":"aw==","create_revision":"2",)"
        R"("mod_revision":"2","version":"1","value":"dg=="}],"count":"1"}}]})");
    ASSERT_TRUE(refused.ok());
    EXPECT_FALSE(refused.value().done);
    ASSERT_EQ(refused.value().found.size(), 1U);
    EXPECT_EQ(refused.value().found[0].key, "k");
    EXPECT_EQ(refused.value().found[0].value, "v");
}

TEST(EtcdText, AWatchTellsPutsAndRemovals) {
    const auto events = etcd::events_of(
        R"({"result":{"header":{"revision":"5"},"events":[{"kv":{"key":"aw==","mod_revision":"4","value":"dg=="}},)"
        R"({"type":"DELETE","kv":{"key":"aw==","mod_revision":"5"}}]}})");
    ASSERT_TRUE(events.ok());
    ASSERT_EQ(events.value().size(), 2U);
    EXPECT_FALSE(events.value()[0].gone);
    EXPECT_TRUE(events.value()[1].gone);
    EXPECT_EQ(events.value()[1].row.modified, 5);
}

TEST(EtcdText, ACompactedWatchIsToBeReadAnew) {
    const auto events = etcd::events_of(R"({"result":{"header":{},"canceled":true,"compact_revision":"6"}})");
    ASSERT_FALSE(events.ok());
    EXPECT_EQ(events.error().kind, ErrorKind::kNotFound);
}

TEST(EtcdText, WhatIsNoAnswerIsTrouble) {
    for (const char* text : {"", "no", R"({"kvs":[{"key":"*"}]})"}) {
        const auto page = etcd::page_of(text);
        ASSERT_FALSE(page.ok()) << text;
        EXPECT_EQ(page.error().code, EBUSY) << text;
    }
}

// --- the directory ---

class DirectoryTest : public testing::Test {
  protected:
    void put(const std::string& key, const std::string& value) { directory_.put({key, value, 1, 1}); }
    /// With so many boxes of so many that it may have, and one processor.
    static FleetLoad with(int64_t boxes, int64_t most = 100, std::vector<std::string> images = {}) {
        FleetLoad load;
        load.boxes = boxes;
        load.max_boxes = most;
        load.cpus = 1;
        load.images = std::move(images);
        return load;
    }
    void host(const std::string& name, const FleetLoad& load = with(0)) {
        put(keys_.member(name), text_of(FleetMember{}));
        put(keys_.host(name), text_of(load));
    }
    void box(const std::string& id, const std::string& name, const std::string& on) {
        put(keys_.box("alice", id), text_of(FleetBox{id, "alice", name, on, 5}));
    }
    Placement choose(const std::string& image, std::set<std::string> tried = {}, uint64_t random = 0) {
        const PlacementCall call{
            .image = image, .tried = std::move(tried), .given = given_, .random = [random] { return random; }};
        return choose_host(directory_, call);
    }
    FleetKeys keys_{"f"};
    Directory directory_{"f"};
    std::map<std::string, int64_t> given_;
};

TEST_F(DirectoryTest, ABoxIsFoundByIdAndNameByItsCustomerAndByIdByTheOperator) {
    box("b1", "web", "h2");
    EXPECT_EQ(directory_.find("alice", "web", false)->host, "h2");
    EXPECT_EQ(directory_.find("alice", "b1", false)->name, "web");
    EXPECT_FALSE(directory_.find("bob", "b1", false));
    EXPECT_FALSE(directory_.find("bob", "web", true));
    EXPECT_EQ(directory_.find("local", "b1", true)->customer, "alice");
}

TEST_F(DirectoryTest, ANameThatHasAnotherBoxIsNotForgottenWithTheFirst) {
    box("b1", "web", "h1");
    box("b2", "web", "h2");
    directory_.drop(keys_.box("alice", "b1"), 9);
    EXPECT_EQ(directory_.find("alice", "web", false)->id, "b2");
}

TEST_F(DirectoryTest, AHostThatGoesIsSilentSinceThenUntilItComesBack) {
    host("h1");
    EXPECT_FALSE(directory_.silent_since("h1"));
    directory_.drop(keys_.host("h1"), 9);
    EXPECT_EQ(directory_.silent_since("h1"), 9);
    Directory fresh("f");
    fresh.put({keys_.member("h1"), text_of(FleetMember{}), 1, 1});
    directory_.replace(std::move(fresh), 20);
    EXPECT_EQ(directory_.silent_since("h1"), 9);
    host("h1");
    EXPECT_FALSE(directory_.silent_since("h1"));
}

TEST_F(DirectoryTest, WhatIsNotUnderstoodIsPassedBy) {
    put(keys_.host("h1"), "[]");
    put(keys_.box("alice", "b1"), "\xff");
    put("/hutch/g/host/h1", text_of(FleetLoad{}));
    put("/hutch/f/", "x");
    EXPECT_TRUE(directory_.hosts().empty());
    EXPECT_TRUE(directory_.boxes().empty());
}

// --- placement ---

TEST_F(DirectoryTest, TheLessLoadedOfTwoGetsTheBox) {
    host("h1", with(30));
    host("h2", with(3));
    EXPECT_EQ(choose("x", {}, 0).host, "h2");
    EXPECT_EQ(choose("x", {}, 1).host, "h2");
    given_["h2"] = 40;  // since it told of its load
    EXPECT_EQ(choose("x").host, "h1");
}

TEST_F(DirectoryTest, WhoHasTheImageComesFirst) {
    host("h1", with(30, 100, {"python"}));
    host("h2", with(3, 100, {"node"}));
    EXPECT_EQ(choose("python").host, "h1");
    EXPECT_EQ(choose("node").host, "h2");
}

TEST_F(DirectoryTest, WhoMayNotBeAskedIsToldWithItsReason) {
    host("h1");
    put(keys_.member("h1"), text_of(FleetMember{true, ""}));
    host("h2", with(7, 7));
    FleetLoad full = with(0);
    full.disk_bytes = 1000;
    full.disk_free_bytes = 10;
    host("h3", full);
    put(keys_.member("h4"), text_of(FleetMember{}));
    host("h5");
    const Placement placement = choose("x", {"h5"});
    EXPECT_EQ(placement.host, "");
    EXPECT_EQ(placement.refused.at("h1"), "is cordoned");
    EXPECT_EQ(placement.refused.at("h2"), "holds 7 boxes, the most that max_boxes allows");
    EXPECT_EQ(placement.refused.at("h3"), "has 0 MB of its disk left");
    EXPECT_EQ(placement.refused.at("h4"), "is not there");
    EXPECT_FALSE(placement.refused.contains("h5"));
}

}  // namespace
}  // namespace hutch::daemon
