#include "daemon/store/records.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace hutch::daemon {
namespace {

class RecordsTest : public ::testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/hutch-records-XXXXXX";
        path_ = mkdtemp(name);
    }
    void TearDown() override { std::filesystem::remove_all(path_); }
    Result<Records> open() { return Records::open(path_ + "/db"); }
    std::string path_;
};

BoxRecord sample(const std::string& id, const std::string& name) {
    BoxRecord box;
    box.id = id;
    box.name = name;
    box.image = "debian";
    box.layers = {"top", "bottom"};
    box.size = "small";
    box.labels = {"a", "b:c"};
    box.env = {{"A", "1=2"}, {"EMPTY", ""}, {"LINES", "x\ny"}};
    box.uid_slot = 7;
    box.address = 0xC6120002;
    box.keep_alive = true;
    box.init_command = "serve &";
    box.idle_timeout = 60;
    box.expires_at = 1'800'000'000;
    box.network = {NetworkMode::kCustom, {"192.0.2.0/24", "192.0.2.7"}, {"203.0.113.0/24"}, {"example.org"}};
    return box;
}

TEST_F(RecordsTest, ABoxComesBackAsItWas) {
    {
        auto records = open();
        ASSERT_TRUE(records.ok());
        ASSERT_TRUE(records.value().put_box(sample("b1", "dev")).ok());
    }
    auto records = open();
    const auto boxes = records.value().boxes();
    ASSERT_TRUE(boxes.ok());
    ASSERT_EQ(boxes.value().size(), 1U);
    const BoxRecord& box = boxes.value().front();
    const BoxRecord wanted = sample("b1", "dev");
    EXPECT_EQ(box.name, wanted.name);
    EXPECT_EQ(box.layers, wanted.layers);
    EXPECT_EQ(box.labels, wanted.labels);
    EXPECT_EQ(box.env, wanted.env);
    EXPECT_EQ(box.uid_slot, wanted.uid_slot);
    EXPECT_EQ(box.address, wanted.address);
    EXPECT_EQ(box.phase, Phase::kCreating);
    EXPECT_EQ(box.keep_alive, wanted.keep_alive);
    EXPECT_EQ(box.init_command, wanted.init_command);
    EXPECT_EQ(box.idle_timeout, wanted.idle_timeout);
    EXPECT_EQ(box.expires_at, wanted.expires_at);
    EXPECT_EQ(box.customer, "local");
    EXPECT_EQ(box.network, wanted.network);
}

// What is written at the end of a daemon, when its thread has gone, is not waited for by anybody.
TEST_F(RecordsTest, AfterTheEndOfItsThreadTheLogIsStillEmptied) {
    auto opened = Database::open(path_ + "/db");
    ASSERT_TRUE(opened.ok());
    Database& database = opened.value();
    ASSERT_TRUE(database.execute("CREATE TABLE t (text)").ok());
    database.join();
    const std::string many(2000 * 4096, 'x');  // pages: more than are worth a checkpoint
    ASSERT_TRUE(database.query("INSERT INTO t VALUES (?)").bind(many).run().ok());
    EXPECT_GE(std::filesystem::file_size(path_ + "/db-wal"), many.size());
    ASSERT_TRUE(database.empty_log().ok());
    EXPECT_EQ(std::filesystem::file_size(path_ + "/db-wal"), 0U);
}

TEST_F(RecordsTest, WhatThrowsLeavesNoTransactionOpen) {
    auto records = open();
    ASSERT_TRUE(records.ok());
    const auto write_and = [&](bool fail) {
        return records.value().together([&]() -> Result<void> {
            TRY(records.value().put_box(sample(fail ? "lost" : "kept", "")));
            if (fail) throw std::bad_alloc();
            return {};
        });
    };
    EXPECT_THROW((void)write_and(true), std::bad_alloc);
    EXPECT_TRUE(write_and(false).ok());
    EXPECT_EQ(records.value().boxes().value().size(), 1U);
}

// The schema of the first databases, which counted no steps.
constexpr const char* kFirstSchema = R"sql(
CREATE TABLE boxes (
    id TEXT PRIMARY KEY, name TEXT UNIQUE, phase INTEGER NOT NULL, internal INTEGER NOT NULL, image TEXT NOT NULL,
    layers TEXT NOT NULL, size TEXT NOT NULL, labels TEXT NOT NULL, env TEXT NOT NULL, uid_slot INTEGER NOT NULL,
    address INTEGER NOT NULL, init_pid INTEGER NOT NULL, init_start INTEGER NOT NULL, created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL, last_activity_at INTEGER NOT NULL, past_cpu_ns INTEGER NOT NULL) STRICT;
CREATE TABLE logs (
    id INTEGER PRIMARY KEY, box TEXT NOT NULL REFERENCES boxes (id) ON DELETE CASCADE, timestamp INTEGER NOT NULL,
    level TEXT NOT NULL, source TEXT NOT NULL, message TEXT NOT NULL) STRICT;
INSERT INTO boxes VALUES ('b1', 'dev', 1, 0, 'debian', 'top', 'small', '', '', 7, 1, 2, 3, 4, 5, 6, 8);
INSERT INTO logs VALUES (1, 'b1', 4, 'info', 'system', 'created');
)sql";

TEST_F(RecordsTest, ADatabaseOfTheFirstSchemaIsTakenAlong) {
    ASSERT_TRUE(Database::open(path_ + "/db").value().execute(kFirstSchema).ok());
    for (int times = 0; times < 2; ++times) {
        auto records = open();
        ASSERT_TRUE(records.ok()) << records.error().message;
        const auto boxes = records.value().boxes();
        ASSERT_TRUE(boxes.ok());
        ASSERT_EQ(boxes.value().size(), 1U);
        const BoxRecord& box = boxes.value().front();
        EXPECT_EQ(box.past, Counters{8});
        EXPECT_EQ(box.booked, Counters{});
        EXPECT_FALSE(box.keep_alive);
        EXPECT_EQ(box.idle_timeout, -1);
        EXPECT_EQ(box.expires_at, 0);
        EXPECT_EQ(box.customer, "local");
        EXPECT_EQ(box.name, "dev");
        EXPECT_EQ(records.value().logs("b1", 0, 10).value().size(), 1U)
            << "what belongs to a box is not lost with its table";
        EXPECT_EQ(records.value().put_box(sample("b2", "dev")).error().code, EEXIST);
        EXPECT_TRUE(records.value().images().ok());
    }
}

// What one file of the state directory, or all of them, have in them.
bool holds(const std::string& directory, const std::string& text) {
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
        std::ifstream file(entry.path(), std::ios::binary);
        const std::string content((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        if (content.find(text) != std::string::npos) return true;
    }
    return false;
}

TEST_F(RecordsTest, SecretsAreInNoFile) {
    auto records = open();
    ASSERT_TRUE(records.ok()) << records.error().message;
    const std::string secret = "canary-5f2d";
    BoxRecord box = sample("b1", "dev");
    box.env = {{"KEY", secret}};
    box.git_token = secret;
    ASSERT_TRUE(records.value().put_box(box).ok());
    ASSERT_TRUE(records.value().put_env("alice", {{"KEY", secret}}).ok());
    ASSERT_TRUE(records.value().put_model_key("alice", {"openai", secret}).ok());
    SnapshotRecord snapshot;
    snapshot.id = "s1";
    snapshot.env = {{"KEY", secret}};
    ASSERT_TRUE(records.value().put_snapshot(snapshot).ok());
    ImageRecord image;
    image.name = "i";
    image.env = {{"KEY", secret}};
    ASSERT_TRUE(records.value().put_image(image).ok());
    AgentRecord agent;
    agent.owner = "b1";
    agent.api_key = secret;
    agent.mcp_servers = secret;
    ASSERT_TRUE(records.value().put_agent(agent).ok());
    PromptRecord prompt;
    prompt.run = "r1";
    prompt.webhook_url = "https://x/" + secret;
    prompt.webhook_headers = {{"Authorization", secret}};
    ASSERT_TRUE(records.value().put_prompt(prompt).ok());
    ASSERT_TRUE(records.value().add_waiting("r1", secret).ok());
    EXPECT_FALSE(holds(path_, secret));
    EXPECT_TRUE(holds(path_, "debian")) << "what is no secret is found";

    EXPECT_EQ(records.value().boxes().value().at(0).env, box.env);
    EXPECT_EQ(records.value().boxes().value().at(0).git_token, secret);
    EXPECT_EQ(records.value().env_of("alice").value(), box.env);
    EXPECT_EQ(records.value().model_keys("alice").value().at(0).key, secret);
    EXPECT_EQ(records.value().snapshots().value().at(0).env, box.env);
    EXPECT_EQ(records.value().images().value().at(0).env, box.env);
    EXPECT_EQ(records.value().agent("b1").value().api_key, secret);
    EXPECT_EQ(records.value().agent("b1").value().mcp_servers, secret);
    EXPECT_EQ(records.value().open_prompts().value().at(0).webhook_url, prompt.webhook_url);
    EXPECT_EQ(records.value().prompt("r1").value()->webhook_headers, prompt.webhook_headers);
    EXPECT_EQ(records.value().waiting("r1").value(), secret);
}

TEST_F(RecordsTest, WhatIsDeletedIsInNoFile) {
    Database database = Database::open(path_ + "/db").value();
    ASSERT_TRUE(database.execute("CREATE TABLE t (x TEXT); INSERT INTO t VALUES ('canary-77aa');").ok());
    ASSERT_TRUE(holds(path_, "canary-77aa"));
    ASSERT_TRUE(database.execute("DELETE FROM t").ok());
    ASSERT_TRUE(database.empty_log().ok());
    EXPECT_FALSE(holds(path_, "canary-77aa"));
}

TEST_F(RecordsTest, SecretsOfAnEarlierDaemonAreSealedAndItsFreePagesWiped) {
    {
        Database database = Database::open(path_ + "/db").value();
        ASSERT_TRUE(database.execute("PRAGMA secure_delete=OFF").ok());
        ASSERT_TRUE(database.execute(kFirstSchema).ok());
        const std::string old = std::string(5000, 'x') + "canary-deleted";
        ASSERT_TRUE(database.execute("CREATE TABLE gone (x TEXT)").ok());
        ASSERT_TRUE(database.query("INSERT INTO gone VALUES (?)").bind(old).run().ok());
        ASSERT_TRUE(database.execute("DELETE FROM gone; UPDATE boxes SET env = 'KEY=canary-living'").ok());
    }
    ASSERT_TRUE(holds(path_, "canary-living"));
    ASSERT_TRUE(holds(path_, "canary-deleted"));
    auto records = open();
    ASSERT_TRUE(records.ok()) << records.error().message;
    EXPECT_FALSE(holds(path_, "canary-living"));
    EXPECT_FALSE(holds(path_, "canary-deleted"));
    EXPECT_EQ(records.value().boxes().value().at(0).env, (Pairs{{"KEY", "canary-living"}}));
}

TEST_F(RecordsTest, ADatabaseIsNotOpenedWithoutItsKeyOrWithAnother) {
    const std::string key = path_ + "/secret.key";
    ASSERT_TRUE(open().value().put_env("alice", {{"A", "b"}}).ok());
    std::filesystem::rename(key, key + ".kept");
    const auto without = open();
    EXPECT_EQ(without.error().kind, ErrorKind::kConflict);
    EXPECT_NE(without.error().message.find("secret.key is missing"), std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(key));
    ASSERT_TRUE(Vault::make(key).ok());
    EXPECT_NE(open().error().message.find("secret.key is not the key"), std::string::npos);
    std::filesystem::rename(key + ".kept", key);
    EXPECT_EQ(open().value().env_of("alice").value(), (Pairs{{"A", "b"}}));
}

TEST_F(RecordsTest, ADatabaseOfANewerDaemonIsRefusedAsItIs) {
    ASSERT_TRUE(Database::open(path_ + "/db").value().execute("PRAGMA user_version = 99").ok());
    const auto records = open();
    ASSERT_FALSE(records.ok());
    EXPECT_EQ(records.error().kind, ErrorKind::kConflict);
    EXPECT_NE(records.error().message.find("newer hutchd"), std::string::npos);
}

TEST_F(RecordsTest, AStepThatFailsLeavesTheSchemaAsItWas) {
    auto database = Database::open(path_ + "/db");
    const char* const half_done[] = {"CREATE TABLE a (x INTEGER);", "CREATE TABLE b (x INTEGER); nonsense;"};
    const char* const mended[] = {half_done[0], "CREATE TABLE b (x INTEGER);"};
    EXPECT_FALSE(database.value().migrate(half_done).ok());
    EXPECT_TRUE(database.value().migrate(mended).ok());
}

TEST_F(RecordsTest, UsageAddsUpAndOutlivesItsBox) {
    auto records = open();
    ASSERT_TRUE(records.value().put_box(sample("b1", "dev")).ok());
    const UsageRecord first{"b1", "local", "dev", "2026-11", {100, 1, 2}, 50, 1000};
    ASSERT_TRUE(records.value().add_usage(first).ok());
    ASSERT_TRUE(records.value().add_usage({"b1", "local", "", "2026-11", {11, 1, 1}, 40, 1}).ok());
    ASSERT_TRUE(records.value().add_usage({"b1", "local", "dev", "2026-12", {5, 0, 0}, 60, 0}).ok());
    ASSERT_TRUE(records.value().drop_box("b1").ok());
    const auto months = records.value().usage_of("b1");
    ASSERT_EQ(months.value().size(), 2U);
    EXPECT_EQ(months.value()[0].counters, (Counters{111, 2, 3}));
    EXPECT_EQ(months.value()[0].memory_peak_bytes, 50) << "a peak does not add up";
    EXPECT_EQ(months.value()[0].storage_byte_seconds, 1001);
    EXPECT_EQ(months.value()[0].name, "dev") << "a box gives its name up before its last booking";
    EXPECT_EQ(records.value().usage_during("2026-12", std::nullopt).value().size(), 1U);
    EXPECT_TRUE(records.value().usage_during("2027-01", std::nullopt).value().empty());
}

TEST_F(RecordsTest, UsageOfManyDeletedBoxesOfOneCustomerIsOneRow) {
    auto records = open();
    const auto gone = [&](const std::string& box, const std::string& customer) {
        ASSERT_TRUE(records.value().add_usage({box, customer, "dev", "2026-11", {100, 1, 2}, 50, 10}).ok());
        ASSERT_TRUE(records.value().fold_usage(box).ok());
    };
    for (int64_t i = 0; i < Records::kMostUsageRows + 3; ++i) gone("a" + std::to_string(i), "alice");
    gone("b", "bob");
    const auto rows = records.value().usage_during("2026-11", "alice");
    ASSERT_EQ(rows.value().size(), static_cast<size_t>(Records::kMostUsageRows) + 1);
    EXPECT_EQ(rows.value()[0].box, "");
    EXPECT_EQ(rows.value()[0].name, "");
    EXPECT_EQ(rows.value()[0].counters, (Counters{300, 3, 6}));
    EXPECT_EQ(rows.value()[0].storage_byte_seconds, 30);
    EXPECT_TRUE(records.value().usage_of("a1002").value().empty());
    EXPECT_EQ(records.value().usage_during("2026-11", "bob").value().size(), 1U);
    EXPECT_EQ(records.value().usage_during("2026-11", std::nullopt).value().size(), rows.value().size() + 1);
}

TEST_F(RecordsTest, NamesAreUniqueButMayBeAbsent) {
    auto records = open();
    ASSERT_TRUE(records.value().put_box(sample("b1", "dev")).ok());
    const auto second = records.value().put_box(sample("b2", "dev"));
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, EEXIST);
    EXPECT_TRUE(records.value().put_box(sample("b3", "")).ok());
    EXPECT_TRUE(records.value().put_box(sample("b4", "")).ok());
    BoxRecord of_another = sample("b5", "dev");
    of_another.customer = "other";
    EXPECT_TRUE(records.value().put_box(of_another).ok()) << "a customer does not learn which names others use";
}

TEST_F(RecordsTest, EachCustomerHasItsVariables) {
    const Pairs env{{"A", "1=2"}, {"LINES", "x\ny"}};
    {
        auto records = open();
        EXPECT_TRUE(records.value().env_of("one").value().empty());
        ASSERT_TRUE(records.value().put_env("one", {{"B", "2"}}).ok());
        ASSERT_TRUE(records.value().put_env("one", env).ok());
    }
    auto records = open();
    EXPECT_EQ(records.value().env_of("one").value(), env);
    EXPECT_TRUE(records.value().env_of("other").value().empty());
}

TEST_F(RecordsTest, LogsAreBoundedAndGoWithTheirBox) {
    auto records = open();
    ASSERT_TRUE(records.value().put_box(sample("b1", "")).ok());
    for (int64_t i = 0; i < Records::kMaxLogs + 5; ++i) {
        ASSERT_TRUE(records.value().add_log("b1", {i, "info", "system", "line " + std::to_string(i)}).ok());
    }
    const auto logs = records.value().logs("b1", 0, 10'000);
    ASSERT_EQ(logs.value().size(), static_cast<size_t>(Records::kMaxLogs));
    EXPECT_EQ(logs.value().front().message, "line 5");
    EXPECT_EQ(records.value().logs("b1", 2, 1).value().front().message, "line 7");
    ASSERT_TRUE(records.value().put_box(sample("b1", "renamed")).ok());
    EXPECT_EQ(records.value().logs("b1", 0, 1).value().size(), 1U) << "saving a box keeps its logs";
    ASSERT_TRUE(records.value().drop_box("b1").ok());
    EXPECT_TRUE(records.value().logs("b1", 0, 10).value().empty());
}

TEST_F(RecordsTest, AGrantIsGoodAsLongAsItsPromptIsOpen) {
    Records records = std::move(open()).value();
    PromptRecord prompt;
    prompt.run = "r1";
    prompt.box = "b1";
    ASSERT_TRUE(records.put_prompt(prompt).ok());
    ASSERT_TRUE(records.add_grant({"r1", "b1", "openai", "hash"}).ok());
    ASSERT_EQ(records.grants().value().size(), 1U);
    prompt.ended = true;  // and the daemon is killed before it takes the grant back
    ASSERT_TRUE(records.put_prompt(prompt).ok());
    EXPECT_TRUE(records.grants().value().empty());
}

TEST_F(RecordsTest, WhatARunWasAskedWithGoesWhenItBeginsEndsOrIsDropped) {
    Records records = std::move(open()).value();
    ASSERT_TRUE(records.put_box(sample("b1", "")).ok());
    std::map<std::string, RunRecord> runs;
    for (const char* id : {"late", "early", "ended", "dropped"}) {
        RunRecord run;
        run.id = id;
        run.box = "b1";
        run.number = 10 - static_cast<int64_t>(runs.size());
        run.status = RunStatus::kWaiting;
        ASSERT_TRUE(records.add_run(run).ok());
        ASSERT_TRUE(records.add_waiting(id, "words").ok());
        runs[id] = run;
    }
    EXPECT_TRUE(records.running().value().empty());
    EXPECT_EQ(records.all_waiting().value(), (std::vector<std::string>{"dropped", "ended", "early", "late"}));
    EXPECT_TRUE(records.old_runs("b1", 0, 0).value().empty()) << "they are not to be forgotten";
    ASSERT_TRUE(records.begin_run(runs["late"]).ok());
    runs["ended"].status = RunStatus::kCancelled;
    ASSERT_TRUE(records.end_run(runs["ended"]).ok());
    ASSERT_TRUE(records.drop_run("dropped").ok());
    EXPECT_EQ(records.all_waiting().value(), std::vector<std::string>(1, "early"));
    EXPECT_EQ(records.running().value().size(), 1U);
    for (const char* id : {"late", "ended", "dropped"}) EXPECT_FALSE(records.waiting(id).ok()) << id;
}

TEST_F(RecordsTest, APromptOutlivesItsBoxUntilItsWebhookIsTold) {
    Records records = std::move(open()).value();
    ASSERT_TRUE(records.put_box(sample("b1", "")).ok());
    for (const char* id : {"told", "untold"}) {
        RunRecord run;
        run.id = id;
        run.box = "b1";
        run.number = id[0];
        ASSERT_TRUE(records.add_run(run).ok());
        PromptRecord prompt;
        prompt.run = id;
        prompt.box = "b1";
        if (std::string(id) == "untold") prompt.webhook_url = "https://x/";
        ASSERT_TRUE(records.put_prompt(prompt).ok());
    }
    ASSERT_TRUE(records.drop_box("b1").ok());
    const auto open_prompts = records.open_prompts();
    ASSERT_EQ(open_prompts.value().size(), 1U);
    EXPECT_EQ(open_prompts.value()[0].run, "untold");
}

TEST_F(RecordsTest, CreationsAreCountedAndFoundByKeyAndAge) {
    Records records = std::move(open()).value();
    for (int64_t i = 0; i < 5; ++i) {
        ASSERT_TRUE(
            records.put_creation({"alice", "k" + std::to_string(i), "call", {"b1", "b2"}, i != 4, 100 + i}).ok());
    }
    ASSERT_TRUE(records.put_creation({"bob", "k0", "other", {"b3"}, true, 100}).ok());
    EXPECT_EQ(records.creation_counts().value(), (std::map<std::string, int64_t>{{"alice", 5}, {"bob", 1}}));
    EXPECT_EQ(records.creation("alice", "k0").value()->boxes, (std::vector<std::string>{"b1", "b2"}));
    EXPECT_EQ(records.creation("bob", "k0").value()->call, "other");
    EXPECT_FALSE(records.creation("bob", "k1").value());
    EXPECT_EQ(records.creations_before(102, 10).value().size(), 3U);
    EXPECT_EQ(records.creations_before(200, 2).value().size(), 2U);
    ASSERT_EQ(records.unfinished_creations().value().size(), 1U);
    EXPECT_TRUE(records.drop_creation("alice", "k4").value());
    EXPECT_FALSE(records.drop_creation("alice", "k4").value());
    EXPECT_TRUE(records.unfinished_creations().value().empty());
}

TEST_F(RecordsTest, TheStoreKeepsItsId) {
    const std::string id = open().value().store_id().value();
    EXPECT_EQ(id.size(), 14U);
    EXPECT_EQ(open().value().store_id().value(), id);
}

TEST_F(RecordsTest, AScheduleComesBackAsItWas_AndGoesWithItsBox) {
    auto records = open();
    ASSERT_TRUE(records.value().put_box(sample("b1", "dev")).ok());
    ScheduleRecord schedule{
        .id = "s1", .box = "b1", .cron = "* * * * *", .command = {"echo", "a\nb", ""}, .folder = "/tmp"};
    schedule.timeout_ms = 5000;
    schedule.webhook_url = "https://example.org/secret";
    schedule.webhook_headers = {{"A", "b"}};
    schedule.created_at = schedule.updated_at = 1'796'040'000;
    schedule.due = 1'796'040'060;
    EXPECT_FALSE(records.value().add_schedule({.id = "s0", .box = "none", .cron = "", .folder = ""}).ok());
    ASSERT_TRUE(records.value().add_schedule(schedule).ok());
    schedule.cron = "0 * * * *";
    schedule.paused = true;
    ASSERT_TRUE(records.value().set_schedule(schedule).ok());
    schedule.run = "r1";
    schedule.last_run_status = RunStatus::kSkipped;
    schedule.total_runs = 7;
    ASSERT_TRUE(records.value().mark_schedule(schedule).ok());
    const auto found = records.value().schedule("b1", "s1");
    ASSERT_TRUE(found.ok() && found.value().has_value());
    const ScheduleRecord& same = *found.value();
    EXPECT_EQ(same.cron, "0 * * * *");
    EXPECT_EQ(same.command, schedule.command);
    EXPECT_EQ(same.timeout_ms, 5000);
    EXPECT_EQ(same.webhook_url, schedule.webhook_url);
    EXPECT_EQ(same.webhook_headers, schedule.webhook_headers);
    EXPECT_TRUE(same.paused);
    EXPECT_EQ(same.due, schedule.due);
    EXPECT_EQ(same.run, "r1");
    EXPECT_EQ(same.last_run_status, RunStatus::kSkipped);
    EXPECT_EQ(same.total_runs, 7);
    EXPECT_FALSE(records.value().schedule("b2", "s1").value().has_value());
    ASSERT_TRUE(records.value().drop_box("b1").ok());
    EXPECT_TRUE(records.value().schedules()->empty());
    EXPECT_TRUE(records.value().mark_schedule(schedule).ok());  // of one that is gone: nothing
    EXPECT_TRUE(records.value().schedules()->empty());
}

TEST_F(RecordsTest, AWebhookGoesWithItsRun) {
    auto records = open();
    ASSERT_TRUE(records.value().put_box(sample("b1", "dev")).ok());
    RunRecord run;
    run.id = "r1";
    run.box = "b1";
    run.schedule = "s1";
    ASSERT_TRUE(records.value().add_run(run).ok());
    EXPECT_EQ(records.value().run("b1", "r1").value()->schedule, "s1");
    ASSERT_TRUE(records.value().add_webhook({"r1", "b1", "s1", "https://example.org", {{"A", "b"}}}).ok());
    ASSERT_EQ(records.value().webhooks()->size(), 1U);
    EXPECT_EQ(records.value().webhooks()->front().headers, (Pairs{{"A", "b"}}));
    ASSERT_TRUE(records.value().drop_run("r1").ok());
    EXPECT_TRUE(records.value().webhooks()->empty());
}

TEST_F(RecordsTest, ImagesAreOfCustomers) {
    auto records = open();
    ASSERT_TRUE(records.ok()) << records.error().message;
    ImageRecord image;
    image.name = "registry.example:5000/app:1";
    image.layers = {"l2", "l1"};
    image.entrypoint = {"/run", "two\nlines"};
    image.cmd = {""};
    image.labels = {{"a", "b=c"}};
    image.ports = {"8080/tcp"};
    image.source = image.name;
    image.digest = "sha256:0";
    ASSERT_TRUE(records->put_image(image).ok());
    image.customer = "alice";
    image.env = {{"KEY", "hers"}};
    ASSERT_TRUE(records->put_image(image).ok());

    const auto images = records->images();
    ASSERT_TRUE(images.ok()) << images.error().message;
    ASSERT_EQ(images.value().size(), 2U);
    EXPECT_EQ(images.value()[0].customer, "alice");
    EXPECT_EQ(images.value()[0].env, image.env);
    EXPECT_EQ(images.value()[1].entrypoint, image.entrypoint);
    EXPECT_EQ(images.value()[1].cmd, image.cmd);
    EXPECT_EQ(images.value()[1].labels, image.labels);
    EXPECT_EQ(images.value()[1].ports, image.ports);
    EXPECT_EQ(images.value()[1].digest, image.digest);
    ASSERT_TRUE(records->drop_image(kLocalCustomer, image.name).ok());
    EXPECT_EQ(records->images().value().size(), 1U);
}

TEST_F(RecordsTest, ALayerHasTheNamesOfItsBlobs) {
    auto records = open();
    ASSERT_TRUE(records.ok()) << records.error().message;
    const LayerBlobRecord came{
        .layer = "l1", .chain_id = "c", .diff_id = "d1", .digest = "b1", .media_type = "t", .bytes = 7};
    const LayerBlobRecord written{
        .layer = "l1", .chain_id = "e", .diff_id = "d2", .digest = "b2", .media_type = "t", .bytes = 8};
    ASSERT_TRUE(records->put_blob(came).ok());
    ASSERT_TRUE(records->put_blob(written).ok());
    ASSERT_EQ(records->blobs_of("l1").value().size(), 2U);
    ASSERT_EQ(records->blobs_of_chain("c").value().size(), 1U);
    EXPECT_EQ(records->blobs_of_chain("c").value()[0].digest, "b1");
    EXPECT_EQ(records->blobs_of_chain("c").value()[0].bytes, 7);
    ASSERT_TRUE(records->drop_blobs("l1").ok());
    EXPECT_TRUE(records->blobs_of("l1").value().empty());
}

}  // namespace
}  // namespace hutch::daemon
