// The client of registries against a server that says what the test wants.

#include "daemon/registry/repository.h"

#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <filesystem>

#include "base/file.h"
#include "daemon/digest.h"
#include "daemon/registry/blobs.h"

namespace hutch::daemon {
namespace {

using Tcp = asio::ip::tcp;
/// What is answered to a request's head.
using Answering = std::function<std::string(const std::string& head)>;

std::string ok(const std::string& body, const std::string& headers = "", const std::string& status = "200 OK") {
    return "HTTP/1.1 " + status + "\r\n" + headers + "Content-Length: " + std::to_string(body.size()) +
           "\r\nConnection: close\r\n\r\n" + body;
}

class RegistryTest : public testing::Test {
  protected:
    RegistryTest() : acceptor_(loop_, Tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {
        directory_ = testing::TempDir() + "hutch-blobs-" + std::to_string(getpid());
        std::filesystem::remove_all(directory_);
    }
    ~RegistryTest() override { std::filesystem::remove_all(directory_); }

    Task<> serve() {
        for (;;) {
            auto [failed, socket] = co_await acceptor_.async_accept(kAwait);
            if (failed) co_return;
            asio::co_spawn(loop_, serve_one(std::move(socket)), asio::detached);
        }
    }
    Task<> serve_one(Tcp::socket socket) {
        asio::streambuf request;
        const auto [cut, head_bytes] = co_await asio::async_read_until(socket, request, "\r\n\r\n", kAwait);
        if (cut) co_return;
        const std::string whole(asio::buffers_begin(request.data()), asio::buffers_end(request.data()));
        const std::string head = whole.substr(0, head_bytes);
        asked_.push_back(head.substr(0, head.find("\r\n")));
        std::string body = whole.substr(head_bytes);
        if (const size_t at = head.find("Content-Length: "); at != std::string::npos) {
            std::string rest(std::stoul(head.substr(at + 16)) - body.size(), '\0');
            (void)co_await asio::async_read(socket, asio::buffer(rest), kAwait);
            body += rest;
        }
        bodies_.push_back(body);
        const std::string text = answering_(head);
        (void)co_await asio::async_write(socket, asio::buffer(text), kAwait);
        boost::system::error_code ignored;
        (void)socket.shutdown(Tcp::socket::shutdown_both, ignored);
    }
    /// What the test asks of the repository "team/app" of a registry that answers like this.
    template <typename T>
    std::optional<Result<T>> run(Answering answering, std::function<Task<Result<T>>(Repository&)> test,
                                 RegistryLogin login = {}) {
        answering_ = std::move(answering);
        const std::string host = "127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port());
        RegistryRules rules;
        rules.insecure = {host};
        Reference reference = parse_reference(host + "/team/app:1").value();
        repository_ = std::make_shared<Repository>(fetcher_, rules, reference, login, true, RegistryAccess::kPull);
        std::optional<Result<T>> result;
        asio::co_spawn(loop_, serve(), asio::detached);
        asio::co_spawn(
            loop_, [&]() -> Task<> { result.emplace(co_await test(*repository_)); },
            [this](const std::exception_ptr& thrown) {
                EXPECT_FALSE(thrown);
                loop_.stop();
            });
        loop_.run();
        loop_.restart();
        return result;
    }
    std::optional<Result<RawManifest>> pull_manifest(Answering answering, const std::string& name = "1",
                                                     RegistryLogin login = {}) {
        const std::function<Task<Result<RawManifest>>(Repository&)> test =
            [name](Repository& repository) -> Task<Result<RawManifest>> { return repository.manifest(name); };
        return run(std::move(answering), test, std::move(login));
    }
    std::optional<Result<SpooledBlob>> pull_blob(Answering answering, const std::string& digest, int64_t size) {
        if (!blobs_) blobs_ = Blobs::open(loop_.get_executor(), directory_).value();
        const std::function<Task<Result<SpooledBlob>>(Repository&)> test =
            [this, digest, size](Repository&) -> Task<Result<SpooledBlob>> {
            return blobs_->fetch(repository_, "alice", digest, size, [](int64_t) {});
        };
        return run(std::move(answering), test);
    }
    void drop(const std::string& customer, const std::string& digest) {
        asio::co_spawn(loop_, blobs_->drop(customer, std::vector(1, digest)),
                       [this](const std::exception_ptr&) { loop_.stop(); });
        loop_.run();
        loop_.restart();
    }
    [[nodiscard]] size_t files() const {
        return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(directory_), {}));
    }
    [[nodiscard]] std::string own(const std::string& path) const {
        return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()) + path;
    }

    asio::io_context loop_{1};
    Tcp::acceptor acceptor_;
    Answering answering_;
    std::vector<std::string> asked_;
    std::vector<std::string> bodies_;
    Fetcher fetcher_ = std::move(Fetcher::open(loop_.get_executor())).value();
    std::shared_ptr<Repository> repository_;
    std::string directory_;
    std::unique_ptr<Blobs> blobs_;
};

TEST_F(RegistryTest, DigestIsOfWhatCame) {
    const auto manifest = pull_manifest([](const std::string&) {
        return ok("{}", "Content-Type: application/vnd.oci.image.manifest.v1+json; charset=x\r\n");
    });
    EXPECT_EQ(manifest->value().media_type, "application/vnd.oci.image.manifest.v1+json");
    EXPECT_EQ(manifest->value().digest, "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    EXPECT_EQ(asked_.at(0), "GET /v2/team/app/manifests/1 HTTP/1.1");
}

TEST_F(RegistryTest, RefusesAnotherManifestThanItAskedFor) {
    const auto by_digest = pull_manifest([](const std::string&) { return ok("{}"); }, "sha256:" + std::string(64, '1'));
    EXPECT_NE(by_digest->error().message.find("is not what it says"), std::string::npos);
    const auto by_header = pull_manifest(
        [](const std::string&) { return ok("{}", "Docker-Content-Digest: sha256:" + std::string(64, '2') + "\r\n"); });
    EXPECT_NE(by_header->error().message.find("is not what it says"), std::string::npos);
}

TEST_F(RegistryTest, HugeManifestIsGivenUp) {
    const auto manifest = pull_manifest([](const std::string&) { return ok(std::string(9 << 20, ' ')); });
    EXPECT_EQ(manifest->error().kind, ErrorKind::kTooLarge);
}

TEST_F(RegistryTest, SaysWhatTheRegistrySays) {
    const auto missing = pull_manifest([](const std::string&) {
        return ok(R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})", "", "404 Not Found");
    });
    EXPECT_EQ(missing->error().kind, ErrorKind::kNotFound);
    EXPECT_NE(missing->error().message.find("/team/app: its manifest 1: the registry answered 404: manifest unknown"),
              std::string::npos);
}

TEST_F(RegistryTest, RedirectsInACircleEnd) {
    const auto manifest = pull_manifest(
        [this](const std::string&) { return ok("", "Location: " + own("/again") + "\r\n", "302 Found"); });
    EXPECT_EQ(manifest->error().kind, ErrorKind::kConflict);
    EXPECT_EQ(asked_.size(), 6U);
}

TEST_F(RegistryTest, LoginGoesToTheRegistryAlone) {
    std::string there, elsewhere;
    Tcp::acceptor other(loop_, Tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    asio::co_spawn(
        loop_,
        [&]() -> Task<> {
            auto [failed, socket] = co_await other.async_accept(kAwait);
            asio::streambuf request;
            (void)co_await asio::async_read_until(socket, request, "\r\n\r\n", kAwait);
            elsewhere = std::string(asio::buffers_begin(request.data()), asio::buffers_end(request.data()));
            const std::string text = ok("{}");
            (void)co_await asio::async_write(socket, asio::buffer(text), kAwait);
        },
        asio::detached);
    const std::string moved = "http://127.0.0.1:" + std::to_string(other.local_endpoint().port()) + "/x";
    const auto manifest = pull_manifest(
        [&](const std::string& head) {
            if (head.find("Authorization: ") == std::string::npos)
                return ok("", "WWW-Authenticate: Basic realm=\"x\"\r\n", "401 Unauthorized");
            there = head;
            return ok("", "Location: " + moved + "\r\n", "307 Temporary Redirect");
        },
        "1", {"alice", "secret"});
    EXPECT_TRUE(manifest->ok());
    EXPECT_NE(there.find("Authorization: Basic YWxpY2U6c2VjcmV0\r\n"), std::string::npos);
    EXPECT_TRUE(elsewhere.starts_with("GET /x"));
    EXPECT_EQ(elsewhere.find("uthorization"), std::string::npos);
}

TEST_F(RegistryTest, AsksForTokensOfItsOwnRepositoryAlone) {
    const auto manifest = pull_manifest([this](const std::string& head) {
        if (head.starts_with("GET /token")) return ok(R"({"token":"abc"})");
        if (head.find("Authorization: Bearer abc") != std::string::npos) return ok("{}");
        return ok("",
                  "WWW-Authenticate: Bearer realm=\"" + own("/token") +
                      "\",service=\"s s\",scope=\"repository:other/private:pull,push\"\r\n",
                  "401 Unauthorized");
    });
    EXPECT_TRUE(manifest->ok());
    EXPECT_EQ(asked_.at(1), "GET /token?service=s%20s&scope=repository%3Ateam%2Fapp%3Apull HTTP/1.1");
}

TEST_F(RegistryTest, TokensThatAreNeverGoodEnoughEnd) {
    const auto manifest = pull_manifest([this](const std::string& head) {
        if (head.starts_with("GET /token")) return ok(R"({"token":"abc"})");
        return ok("", "WWW-Authenticate: Bearer realm=\"" + own("/token") + "\"\r\n", "401 Unauthorized");
    });
    EXPECT_EQ(manifest->error().kind, ErrorKind::kForbidden);
    EXPECT_EQ(asked_.size(), 3U);
    EXPECT_NE(manifest->error().message.find("hutch registry login 127.0.0.1:"), std::string::npos);
}

TEST_F(RegistryTest, LoginIsAskedForWhereThereIsNone) {
    const auto manifest = pull_manifest(
        [](const std::string&) { return ok("", "WWW-Authenticate: Basic realm=\"x\"\r\n", "401 Unauthorized"); });
    EXPECT_EQ(manifest->error().kind, ErrorKind::kForbidden);
    EXPECT_EQ(asked_.size(), 1U);
}

TEST_F(RegistryTest, UploadsAFileAndThenNamesItsDigest) {
    const std::string content(700'000, 'u');
    const auto file = std::make_shared<const UniqueFd>(sealed_memory("blob", content).value());
    const std::function<Task<Result<void>>(Repository&)> test = [&](Repository& repository) -> Task<Result<void>> {
        return repository.upload(digest_of(content), file, static_cast<int64_t>(content.size()));
    };
    const auto uploaded = run(
        [](const std::string& head) {
            if (head.starts_with("PUT ")) return ok("", "", "201 Created");
            const std::string location = head.starts_with("POST ") ? "/v2/up/1?state=a" : "/v2/up/1?state=b";
            return ok("", "Location: " + location + "\r\n", "202 Accepted");
        },
        test);
    ASSERT_TRUE(uploaded->ok()) << uploaded->error().message;
    EXPECT_EQ(asked_.at(0), "POST /v2/team/app/blobs/uploads/ HTTP/1.1");
    EXPECT_EQ(asked_.at(1), "PATCH /v2/up/1?state=a HTTP/1.1");
    EXPECT_EQ(bodies_.at(1), content);
    EXPECT_EQ(asked_.at(2), "PUT /v2/up/1?state=b&digest=" + digest_of(content) + " HTTP/1.1");
}

TEST_F(RegistryTest, MountThatIsNotDoneIsAnUploadGivenUp) {
    const std::function<Task<Result<bool>>(Repository&)> test = [](Repository& repository) -> Task<Result<bool>> {
        return repository.mount("sha256:" + std::string(64, 'a'), "team/base");
    };
    const auto mounted = run(
        [](const std::string& head) {
            if (head.starts_with("DELETE ")) return ok("", "", "204 No Content");
            return ok("", "Location: /v2/up/1\r\n", "202 Accepted");
        },
        test);
    EXPECT_FALSE(mounted->value());
    EXPECT_EQ(asked_.at(0),
              "POST /v2/team/app/blobs/uploads/?mount=sha256:" + std::string(64, 'a') + "&from=team%2Fbase HTTP/1.1");
    EXPECT_EQ(asked_.at(1), "DELETE /v2/up/1 HTTP/1.1");
}

std::string range_of(const std::string& head) {
    const size_t at = head.find("Range: bytes=");
    return at == std::string::npos ? "" : head.substr(at + 13, head.find('-', at) - at - 13);
}

TEST_F(RegistryTest, BlobIsGoneOnWithWhereItBrokeOff) {
    std::string content(3 << 20, 'x');
    for (size_t at = 0; at < content.size(); at += 4096) content[at] = static_cast<char>('a' + at / 4096 % 26);
    const std::string digest = digest_of(content);
    std::vector<std::string> ranges;
    const auto blob = pull_blob(
        [&](const std::string& head) {
            ranges.push_back(range_of(head));
            const size_t from = ranges.back().empty() ? 0 : std::stoul(ranges.back());
            const std::string all = ok(content.substr(from), "Content-Range: bytes " + std::to_string(from) + "-\r\n",
                                       from > 0 ? "206 Partial Content" : "200 OK");
            return from == 0 ? all.substr(0, all.size() / 2) : all;
        },
        digest, static_cast<int64_t>(content.size()));
    ASSERT_TRUE(blob->ok()) << blob->error().message;
    EXPECT_EQ(hutch::read_all(blob->value().file.get(), "blob", 8 << 20).value(), content);
    ASSERT_EQ(ranges.size(), 2U);
    EXPECT_GT(std::stoul(ranges[1]), 1000U);
}

TEST_F(RegistryTest, BlobIsFetchedOnceAndForgottenWhenDropped) {
    const std::string content(100'000, 'y');
    const std::string digest = digest_of(content);
    const Answering answering = [&](const std::string&) { return ok(content); };
    for (int times = 0; times < 2; ++times) {
        EXPECT_TRUE(pull_blob(answering, digest, 100'000)->ok());
    }
    EXPECT_EQ(asked_.size(), 1U);
    EXPECT_EQ(files(), 1U);
    drop("bob", digest);
    EXPECT_EQ(files(), 1U);
    drop("alice", digest);
    EXPECT_EQ(files(), 0U);
}

TEST_F(RegistryTest, DamagedRemainderIsFetchedAnew) {
    const std::string content(100'000, 'y');
    const std::string digest = digest_of(content);
    blobs_ = Blobs::open(loop_.get_executor(), directory_).value();
    const UniqueFd file =
        open_at(AT_FDCWD, directory_ + "/" + digest.substr(7) + ".alice", O_WRONLY | O_CREAT, 0600).value();
    ASSERT_TRUE(write_all(file.get(), std::string(100'000, '\0')).ok());
    const auto blob = pull_blob([&](const std::string&) { return ok(content); }, digest, 100'000);
    EXPECT_EQ(hutch::read_all(blob->value().file.get(), "blob").value(), content);
}

TEST_F(RegistryTest, WrongBlobLeavesNothing) {
    const auto wrong = pull_blob([](const std::string&) { return ok(std::string(1000, 'z')); },
                                 "sha256:" + std::string(64, 'a'), 1000);
    EXPECT_EQ(wrong->error().kind, ErrorKind::kConflict);
    EXPECT_EQ(files(), 0U);
}

TEST_F(RegistryTest, BlobThatIsLargerThanItsManifestSaysIsGivenUp) {
    const std::string content(1000, 'z');
    const auto larger = pull_blob([&](const std::string&) { return ok(content); }, digest_of(content), 999);
    EXPECT_NE(larger->error().message.find("larger than its manifest says"), std::string::npos);
}

TEST_F(RegistryTest, BlobThatAlwaysBreaksOffEnds) {
    const std::string content(1000, 'z');
    const auto broken =
        pull_blob([&](const std::string&) { return ok(content).substr(0, 60); }, digest_of(content), 1000);
    EXPECT_FALSE(broken->ok());
    EXPECT_EQ(asked_.size(), 4U);
}

}  // namespace
}  // namespace hutch::daemon
