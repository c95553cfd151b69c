// The client of etcd against the etcd-server that is installed.

#include "daemon/fleet/etcd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include <boost/asio/ip/tcp.hpp>

#include "daemon/event.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

std::string free_port() {
    asio::io_context loop;
    asio::ip::tcp::acceptor one(loop, {asio::ip::address_v4::loopback(), 0});
    return std::to_string(one.local_endpoint().port());
}

/// One that begins with the test and ends with it.
class Server {
  public:
    Server() : url("http://127.0.0.1:" + free_port()) {
        char path[] = "/tmp/hutch-etcd-XXXXXX";
        directory_ = mkdtemp(path);
        const std::string peer = "http://127.0.0.1:" + free_port();
        const std::string cluster = "default=" + peer;
        process_ = fork();
        if (process_ != 0) return;
        if (freopen("/dev/null", "w", stderr) == nullptr) _exit(126);
        execlp("etcd", "etcd", "--data-dir", directory_.c_str(), "--listen-client-urls", url.c_str(),
               "--advertise-client-urls", url.c_str(), "--listen-peer-urls", peer.c_str(),
               "--initial-advertise-peer-urls", peer.c_str(), "--initial-cluster", cluster.c_str(), nullptr);
        _exit(127);
    }
    ~Server() {
        kill(process_, SIGKILL);
        waitpid(process_, nullptr, 0);
        std::filesystem::remove_all(directory_);
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    const std::string url;

  private:
    std::string directory_;
    pid_t process_ = 0;
};

class EtcdTest : public testing::Test {
  protected:
    void SetUp() override {
        if (!std::filesystem::exists("/usr/bin/etcd")) GTEST_SKIP() << "needs etcd-server";
        server_ = std::make_unique<Server>();
        etcd_.emplace(loop_.get_executor(), fetcher_, Etcd::Access{{server_->url}, nullptr});
    }
    void run(const std::function<Task<>()>& test) {
        asio::co_spawn(
            loop_,
            [&]() -> Task<> {
                for (;;) {  // until it serves
                    const auto read = co_await etcd_->read("x");
                    if (read.ok()) break;
                }
                co_await test();
            },
            [this](const std::exception_ptr& thrown) {
                EXPECT_FALSE(thrown);
                loop_.stop();
            });
        loop_.run();
    }
    static EtcdTxn putting(const std::string& key, const std::string& value, int64_t lease = 0) {
        EtcdTxn txn;
        txn.absent = {key};
        txn.puts = {{key, value, lease}};
        txn.otherwise_reads = {key};
        return txn;
    }

    std::unique_ptr<Server> server_;
    asio::io_context loop_{1};
    Fetcher fetcher_ = std::move(Fetcher::open(loop_.get_executor())).value();
    std::optional<Etcd> etcd_;
};

TEST_F(EtcdTest, OfTwoThatTakeAKeyTheFirstHasIt) {
    run([this]() -> Task<> {
        EtcdTxn first = putting("/n/web", "b1");
        const auto done = co_await etcd_->commit(std::move(first));
        EXPECT_TRUE(done.ok() && done.value().done);
        EtcdTxn second = putting("/n/web", "b2");
        const auto refused = co_await etcd_->commit(std::move(second));
        EXPECT_TRUE(refused.ok() && !refused.value().done && refused.value().found.size() == 1);
        if (refused.ok() && !refused.value().found.empty()) {
            EXPECT_EQ(refused.value().found[0].value, "b1");
        }
        const auto read = co_await etcd_->read("/n/web");
        EXPECT_TRUE(read.ok() && read.value() && read.value()->value == "b1");
        const auto nothing = co_await etcd_->read("/n/other");
        EXPECT_TRUE(nothing.ok() && !nothing.value());
    });
}

TEST_F(EtcdTest, AllIsReadInPagesAsItWasAtOnce) {
    run([this]() -> Task<> {
        constexpr size_t kRows = 1200;
        for (size_t i = 0; i < kRows; i += 100) {
            EtcdTxn txn;
            for (size_t j = i; j < i + 100; ++j) txn.puts.push_back({"/p/" + std::to_string(j), std::to_string(j)});
            const auto put = co_await etcd_->commit(std::move(txn));
            EXPECT_TRUE(put.ok() && put.value().done);
        }
        EtcdTxn beside = putting("/q", "");
        (void)co_await etcd_->commit(std::move(beside));
        size_t count = 0;
        std::function<void(EtcdRow)> each = [&count](const EtcdRow& row) {
            EXPECT_EQ(row.key, "/p/" + row.value);
            ++count;
        };
        const auto revision = co_await etcd_->read_all("/p/", std::move(each));
        EXPECT_TRUE(revision.ok() && revision.value() > 0);
        EXPECT_EQ(count, kRows);
    });
}

TEST_F(EtcdTest, AKeyGoesWithItsLeaseAndTheLeaseIsKnownToBeGone) {
    run([this]() -> Task<> {
        const auto lease = co_await etcd_->grant(30);
        EXPECT_TRUE(lease.ok());
        if (!lease.ok()) co_return;
        EtcdTxn txn = putting("/h/h1", "x", lease.value());
        (void)co_await etcd_->commit(std::move(txn));
        const auto alive = co_await etcd_->keep_alive(lease.value());
        EXPECT_TRUE(alive.ok());
        const auto revoked = co_await etcd_->revoke(lease.value());
        EXPECT_TRUE(revoked.ok());
        const auto read = co_await etcd_->read("/h/h1");
        EXPECT_TRUE(read.ok() && !read.value());
        const auto gone = co_await etcd_->keep_alive(lease.value());
        EXPECT_TRUE(!gone.ok() && gone.error().kind == ErrorKind::kNotFound);
    });
}

TEST_F(EtcdTest, AWatchTellsWhatHappenedSinceARevision) {
    run([this]() -> Task<> {
        EtcdTxn put = putting("/w/a", "1");
        (void)co_await etcd_->commit(std::move(put));
        EtcdTxn drop;
        drop.removals = {"/w/a"};
        (void)co_await etcd_->commit(std::move(drop));
        std::vector<std::string> told;
        Event all(loop_.get_executor());
        std::function<void(const EtcdEvent&)> note = [&](const EtcdEvent& event) {
            told.push_back(event.row.key + "=" + event.row.value + (event.gone ? "-" : "+"));
            if (told.size() == 2) all.set();
        };
        auto watching = etcd_->watch("/w/", 1, std::chrono::seconds(20), std::move(note));
        const auto ended = co_await unless(all.wait(), std::move(watching));
        EXPECT_FALSE(ended);
        EXPECT_EQ(told, (std::vector<std::string>{"/w/a=1+", "/w/a=-"}));
    });
}

TEST_F(EtcdTest, AnotherMemberAnswersForOneThatIsNotThere) {
    run([this]() -> Task<> {
        Etcd both(loop_.get_executor(), fetcher_, {{"http://127.0.0.1:" + free_port(), server_->url}, nullptr});
        EtcdTxn txn = putting("/t", "1");
        const auto done = co_await both.commit(std::move(txn));
        EXPECT_TRUE(done.ok() && done.value().done);
        Etcd none(loop_.get_executor(), fetcher_, {{"http://127.0.0.1:" + free_port()}, nullptr});
        const auto failed = co_await none.read("/t");
        EXPECT_TRUE(!failed.ok() && failed.error().code == EBUSY);
    });
}

}  // namespace
}  // namespace hutch::daemon
