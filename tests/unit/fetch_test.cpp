// Calls of other servers whose answers are read as they come, against a server that says what the test wants.

#include "daemon/fetch.h"
#include "base/text.h"

#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>

#include "daemon/event.h"

namespace hutch::daemon {
namespace {

using Tcp = asio::ip::tcp;

class FetchTest : public testing::Test {
  protected:
    FetchTest() : acceptor_(loop_, Tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {}

    // The first connection is answered with this text, and closed.
    void answer(std::string text) { asio::co_spawn(loop_, serve(std::move(text)), asio::detached); }
    Task<> serve(std::string text) {
        auto [failed, socket] = co_await acceptor_.async_accept(kAwait);
        if (failed) co_return;
        asio::streambuf request;
        (void)co_await asio::async_read_until(socket, request, "\r\n\r\n", kAwait);
        asked_ = std::string(asio::buffers_begin(request.data()), asio::buffers_end(request.data()));
        const auto [broken, size] = co_await asio::async_write(socket, asio::buffer(text), kAwait);
        sent_ = size;
        given_up_ = !!broken;
        served_.set();
    }

    void run(Task<> test) {
        asio::co_spawn(loop_, std::move(test), [this](const std::exception_ptr& thrown) {
            EXPECT_FALSE(thrown);
            loop_.stop();
        });
        loop_.run();
    }

    [[nodiscard]] std::string url(const std::string& path = "/") const {
        return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()) + path;
    }

    asio::io_context loop_{1};
    Tcp::acceptor acceptor_;
    std::string asked_;
    size_t sent_ = 0;
    bool given_up_ = false;
    Event served_{loop_.get_executor()};
    Fetcher fetcher_ = std::move(Fetcher::open(loop_.get_executor())).value();
};

Task<Result<std::string>> read_all(Fetch& fetch) {
    std::string whole;
    for (;;) {
        CO_TRY_LET(const std::string piece, co_await fetch.read());
        if (piece.empty()) co_return whole;
        whole += piece;
    }
}

TEST_F(FetchTest, TellsTheHeadThenTheBody) {
    answer(
        "HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\nHTTP/1.1 201 Made\r\nX-Some:  a b \r\nContent-Length: "
        "5\r\n\r\nhello");
    run([](Fetcher& fetcher, std::string url) -> Task<> {
        Fetch fetch = fetcher.start({"POST", std::move(url), {"X-Mine: yes"}, "body"});
        const auto head = co_await fetch.head();
        EXPECT_EQ(head.value().status, 201);
        const std::pair<std::string, std::string> first = head.value().headers.front();
        EXPECT_EQ(first.first, "x-some");
        EXPECT_EQ(first.second, "a b ");
        EXPECT_EQ((co_await read_all(fetch)).value(), "hello");
    }(fetcher_, url("/a/../b?c=%20d")));
    EXPECT_TRUE(asked_.starts_with("POST /a/../b?c=%20d HTTP/1.1\r\n")) << asked_;
    EXPECT_NE(asked_.find("X-Mine: yes\r\n"), std::string::npos);
}

TEST_F(FetchTest, KeepsAServerWaitingForWhoReadsSlowly) {
    static constexpr size_t kSize = 64 << 20;
    answer("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kSize) + "\r\n\r\n" + std::string(kSize, 'x'));
    run([](Fetcher& fetcher, std::string url) -> Task<> {
        Fetch fetch = fetcher.start({"GET", std::move(url)});
        EXPECT_EQ((co_await fetch.head()).value().status, 200);
        const auto first = co_await fetch.read();
        EXPECT_LE(first.value().size(), 512U << 10);
        const auto rest = co_await read_all(fetch);
        EXPECT_EQ(first.value().size() + rest.value().size(), kSize);
    }(fetcher_, url()));
}

TEST_F(FetchTest, SaysWhenAnAnswerBreaksOff) {
    answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    run([](Fetcher& fetcher, std::string url) -> Task<> {
        Fetch fetch = fetcher.start({"GET", std::move(url)});
        EXPECT_TRUE((co_await fetch.head()).ok());
        EXPECT_FALSE((co_await read_all(fetch)).ok());
    }(fetcher_, url()));
}

TEST_F(FetchTest, GivesUpAnAnswerWhoseHeadHasNoEnd) {
    std::string head = "HTTP/1.1 200 OK\r\n";
    for (int i = 0; i < 100; ++i) head += "X-Some: " + std::string(1000, 'x') + "\r\n";
    answer(head + "Content-Length: 0\r\n\r\n");
    run([](Fetcher& fetcher, std::string url) -> Task<> {
        Fetch fetch = fetcher.start({"GET", std::move(url)});
        EXPECT_FALSE((co_await fetch.head()).ok());
    }(fetcher_, url()));
}

TEST_F(FetchTest, InterimAnswersAreCountedToo) {
    std::string early;
    for (int i = 0; i < 100; ++i) early += "HTTP/1.1 103 Early\r\nX-Some: " + std::string(1000, 'x') + "\r\n\r\n";
    answer(early + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    run([](Fetcher& fetcher, std::string url) -> Task<> {
        Fetch fetch = fetcher.start({"GET", std::move(url)});
        EXPECT_FALSE((co_await fetch.head()).ok());
    }(fetcher_, url()));
}

TEST_F(FetchTest, AnotherProtocolIsNoAnswer) {
    answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nsomething else");
    run([](Fetcher& fetcher, std::string url) -> Task<> {
        Fetch fetch = fetcher.start({"GET", std::move(url)});
        EXPECT_FALSE((co_await fetch.head()).ok());
    }(fetcher_, url()));
}

TEST_F(FetchTest, NamesAServerThatCannotBeReached) {
    const std::string nobody = url();
    acceptor_.close();
    run([](Fetcher& fetcher, std::string url) -> Task<> {
        Fetch fetch = fetcher.start({"GET", url});
        const auto head = co_await fetch.head();
        EXPECT_FALSE(head.ok());
        EXPECT_NE(head.error().message.find(origin_of(url)), std::string::npos);
    }(fetcher_, nobody));
}

TEST_F(FetchTest, GivenUpBreaksOff) {
    static constexpr size_t kSize = 256 << 20;  // more than the sockets hold
    answer("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kSize) + "\r\n\r\n" + std::string(kSize, 'x'));
    run([](Fetcher& fetcher, std::string url, Event& served) -> Task<> {
        {
            Fetch fetch = fetcher.start({"GET", std::move(url)});
            EXPECT_TRUE((co_await fetch.head()).ok());
        }
        co_await served.wait();
    }(fetcher_, url(), served_));
    EXPECT_TRUE(given_up_);
}

TEST_F(FetchTest, GivenUpAtOnceOrWithItsMakerLeavesNothingBehind) {
    run([](Fetcher& fetcher, std::string url) -> Task<> {
        std::vector<Fetch> open;
        for (int i = 0; i < 100; ++i) {
            (void)fetcher.start({"GET", url});
            open.push_back(fetcher.start({"GET", url}));
        }
        auto own = std::make_unique<Fetcher>(std::move(Fetcher::open(co_await asio::this_coro::executor)).value());
        open.push_back(own->start({"GET", url}));
        own.reset();  // before its call
    }(fetcher_, url()));
}

}  // namespace
}  // namespace hutch::daemon
