// The DNS forwarder between a box and stand-in name servers outside.

#include "netns/dns.h"

#include "netns/dns_answer.h"
#include "netns/dns_message.h"
#include "tests/kernel/netns_fixture.h"

namespace hutch::netns {
namespace {

using namespace std::string_literals;

constexpr uint16_t kDns = 53;
const Ipv4 kSecond = ip("198.51.100.3");

std::string query(uint16_t id, const std::string& name = "example") {
    std::string packet = "\0\0\1\0\0\1\0\0\0\0\0\0"s;
    set_dns_id(packet, id);
    return packet + static_cast<char>(name.size()) + name + "\0\0\1\0\1"s;
}
const std::string kUpdate = [] {
    std::string packet = query(7);
    packet[2] = 0x28;
    return packet;
}();

uint16_t id_of(const std::string& packet) {
    return parse_query(packet)->id;
}

/// The server's answer to what it was asked; `mark` tells one from another.
std::string answer(std::string packet, const std::string& mark = "") {
    packet[2] = static_cast<char>(0x81);
    return packet + mark;
}

std::string framed(const std::string& message) {
    const char length[] = {static_cast<char>(message.size() >> 8), static_cast<char>(message.size() & 0xFF)};
    return std::string(length, sizeof(length)) + message;
}

/// Boxes may ask for all names, but one for none, and one for "example" alone.
struct Judge : DnsJudge {
    Ipv4 silenced, limited;
    std::vector<DnsAddress> learned;

    MayAsk may_ask(Ipv4 box) const override {
        if (box == silenced) return MayAsk::kNothing;
        return box == limited ? MayAsk::kListed : MayAsk::kEverything;
    }
    bool lists(Ipv4, const std::string& name) const override { return name == "example"; }
    std::vector<DnsAddress> learn(Ipv4, const std::string&, std::vector<DnsAddress> answered) override {
        std::erase_if(answered, [](const DnsAddress& address) { return address.address == ip("10.0.0.1"); });
        return learned = answered;
    }
};

class NetnsDnsTest : public NetnsTest {
  protected:
    void SetUp() override {
        NetnsTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        char path[] = "/tmp/hutch-test-XXXXXX";
        const UniqueFd made(mkstemp(path));
        config_.resolv_conf = resolv_conf_ = path;
        box_ = slot(2);
        outside_ = outside();
        add_outside_address(outside_, kSecond);
        server_ = bound_socket(outside_.netns.get(), SOCK_DGRAM, kOutside, kDns);
        set_servers({kOutside});
        forwarder_ = must(DnsForwarder::open(config_, judge_, &watcher_));
        client_ = plain_socket(box_.netns.get(), AF_INET, SOCK_DGRAM);
    }
    void TearDown() override {
        unlink(resolv_conf_.c_str());
        box_ = Slot{};
        outside_ = Slot{};
        NetnsTest::TearDown();
    }

    void set_servers(const std::vector<Ipv4>& servers) {
        std::string text;
        for (const Ipv4 server : servers) text += "nameserver " + to_string(server) + "\n";
        const UniqueFd file = must(open_at(AT_FDCWD, config_.resolv_conf, O_WRONLY | O_TRUNC));
        must(write_all(file.get(), text));
    }

    /// Drives the forwarder until `fd` is readable.
    bool pump(const UniqueFd& fd) {
        pollfd entries[] = {{fd.get(), POLLIN, 0}, {forwarder_->fd(), POLLIN, 0}};
        while (poll(entries, 2, kPatienceMs) > 0) {
            if (entries[0].revents != 0) return true;
            forwarder_->on_ready();
        }
        return false;
    }
    /// Drives it until it has nothing left to do.
    void pump() {
        while (readable(forwarder_->fd(), 0)) forwarder_->on_ready();
    }
    Datagram pumped(const UniqueFd& fd) {
        EXPECT_TRUE(pump(fd)) << "nothing came";
        return receive(fd, 0).value_or(Datagram{});
    }
    void ask(const std::string& packet) { ASSERT_TRUE(send_to(client_, config_.gateway(), kDns, packet)); }
    void reply(const Datagram& asked, const std::string& packet) {
        ASSERT_TRUE(send_to(server_, asked.from, asked.port, packet));
    }

    UniqueFd connect_tcp(const Slot& from) {
        UniqueFd fd = plain_socket(from.netns.get(), AF_INET, SOCK_STREAM);
        connect_to(fd, config_.gateway(), kDns);
        return fd;
    }
    /// What the connection gives, up to `size` bytes or its end.
    std::string read_tcp(const UniqueFd& fd, size_t size) {
        std::string data;
        char buffer[4096];
        while (data.size() < size && pump(fd)) {
            const ssize_t got = recv(fd.get(), buffer, sizeof(buffer), 0);
            if (got <= 0) break;
            data.append(buffer, static_cast<size_t>(got));
        }
        return data;
    }
    bool at_end(const UniqueFd& fd) {
        char byte = 0;
        return pump(fd) && recv(fd.get(), &byte, 1, 0) <= 0;
    }

    struct Watcher : DnsWatcher {
        void refused(Ipv4 box, std::string_view question) override { heard.emplace_back(box, question); }
        void answered(Ipv4 box, std::string_view question, std::string_view packet) override {
            heard.emplace_back(box, std::string(question) + std::string(packet));
        }
        std::vector<std::pair<Ipv4, std::string>> heard;
    };

    std::string resolv_conf_;
    Watcher watcher_;
    Slot box_;
    Slot outside_;
    UniqueFd server_;
    UniqueFd client_;
    std::unique_ptr<DnsForwarder> forwarder_;
    Judge judge_;
};

TEST_F(NetnsDnsTest, AWatcherIsToldWhatIsAnsweredAndRefusedToWhom) {
    ask(query(0x1234));
    const Datagram asked = pumped(server_);
    reply(asked, answer(asked.text, "mark"));
    pumped(client_);
    const std::string question(parse_query(query(0))->question);
    ASSERT_EQ(watcher_.heard.size(), 1U);
    EXPECT_EQ(watcher_.heard[0], std::pair(box_.address, question + answer(asked.text, "mark")));
    judge_.silenced = box_.address;
    ask(query(0x1235));
    pumped(client_);
    ASSERT_EQ(watcher_.heard.size(), 2U);
    EXPECT_EQ(watcher_.heard[1], std::pair(box_.address, question));
    const UniqueFd stream = connect_tcp(box_);
    ASSERT_TRUE(write_all(stream.get(), framed(query(0x1236))).ok());
    read_tcp(stream, 2);
    EXPECT_EQ(watcher_.heard.size(), 3U);
}

TEST_F(NetnsDnsTest, AnswersOverUdp) {
    ask(query(0x1234));
    const Datagram asked = pumped(server_);
    EXPECT_EQ(parse_query(asked.text)->question, parse_query(query(0))->question);
    EXPECT_EQ(to_string(asked.from), to_string(kOutsideGateway)) << "the host asks, not the box";
    reply(asked, answer(asked.text, "mark"));
    const Datagram answered = pumped(client_);
    EXPECT_EQ(answered.text, answer(query(0x1234), "mark"));
    EXPECT_EQ(to_string(answered.from), to_string(config_.gateway()));
    EXPECT_EQ(answered.port, kDns);
}

TEST_F(NetnsDnsTest, EveryQueryHasAPortAndAnIdOfItsOwn) {
    std::vector<uint16_t> ids;
    std::vector<uint16_t> ports;
    for (int i = 0; i < 4; ++i) {
        ask(query(7));
        const Datagram asked = pumped(server_);
        ids.push_back(id_of(asked.text));
        ports.push_back(asked.port);
    }
    for (auto* values : {&ids, &ports}) {
        std::sort(values->begin(), values->end());
        EXPECT_GE(std::unique(values->begin(), values->end()) - values->begin(), 3);  // 4, but for a rare accident
    }
}

TEST_F(NetnsDnsTest, SpoofedAnswersAreIgnored) {
    ask(query(7));
    const Datagram asked = pumped(server_);
    std::string other_id = answer(asked.text, "other id");
    set_dns_id(other_id, static_cast<uint16_t>(id_of(asked.text) ^ 1));
    std::string other_name = answer(asked.text, "other name");
    other_name[kDnsHeader + 1] ^= 1;
    reply(asked, other_id);
    reply(asked, other_name);
    reply(asked, asked.text);  // no answer at all
    const UniqueFd other_port = bound_socket(outside_.netns.get(), SOCK_DGRAM, kOutside, kDns + 1);
    const UniqueFd other_host = bound_socket(outside_.netns.get(), SOCK_DGRAM, kSecond, kDns);
    ASSERT_TRUE(send_to(other_port, asked.from, asked.port, answer(asked.text, "other port")));
    ASSERT_TRUE(send_to(other_host, asked.from, asked.port, answer(asked.text, "other host")));
    reply(asked, answer(asked.text, "true"));
    EXPECT_EQ(pumped(client_).text, answer(query(7), "true"));
}

TEST_F(NetnsDnsTest, OnlyQueriesAreForwarded) {
    ask("short");
    ask(kUpdate);
    ask(answer(query(7)));
    ask(query(7, "good"));
    EXPECT_EQ(parse_query(pumped(server_).text)->question, parse_query(query(7, "good"))->question);
}

TEST_F(NetnsDnsTest, OnlyBoxesAreServed) {
    weaken({"name outsider drop"});
    const UniqueFd stranger = plain_socket(outside_.netns.get(), AF_INET, SOCK_DGRAM);
    ASSERT_TRUE(send_to(stranger, config_.gateway(), kDns, query(7, "stranger")));
    ask(query(7, "box"));
    EXPECT_EQ(parse_query(pumped(server_).text)->question, parse_query(query(7, "box"))->question);
}

TEST_F(NetnsDnsTest, AfterARefusalTheNextServerIsAsked) {
    set_servers({kSecond, kOutside});  // nobody listens at the first
    ask(query(7));
    const Datagram asked = pumped(server_);
    reply(asked, answer(asked.text));
    EXPECT_EQ(pumped(client_).text, answer(query(7)));
}

TEST_F(NetnsDnsTest, ASilentServerIsPassedOverAndRemembered) {
    const UniqueFd silent = bound_socket(outside_.netns.get(), SOCK_DGRAM, kSecond, kDns);
    set_servers({kSecond, kOutside});
    ask(query(7, "first"));
    const Datagram asked = pumped(server_);
    reply(asked, answer(asked.text));
    EXPECT_EQ(pumped(client_).text, answer(query(7, "first")));
    EXPECT_TRUE(receive(silent, 0));

    ask(query(7, "second"));
    EXPECT_TRUE(pump(server_));
    EXPECT_FALSE(receive(silent, 0)) << "the server that answered comes first now";
}

TEST_F(NetnsDnsTest, WithoutAnyServerTheBoxIsTold) {
    set_servers({kSecond});
    ask(query(7));
    EXPECT_EQ(pumped(client_).text, server_failure(query(7)));
}

TEST_F(NetnsDnsTest, ResolvConfIsReadAgainWhenItChanges) {
    ask(query(7));
    EXPECT_TRUE(pump(server_));
    const UniqueFd second = bound_socket(outside_.netns.get(), SOCK_DGRAM, kSecond, kDns);
    set_servers({kSecond});
    ask(query(7));
    EXPECT_TRUE(pump(second));
}

TEST_F(NetnsDnsTest, ABoxHoldsOnlyItsShareOfTheTable) {
    for (unsigned i = 0; i < DnsUdp::kMaxPerBox + 6; ++i) ask(query(static_cast<uint16_t>(i)));
    pump();
    const Slot other = slot(3);
    const UniqueFd other_client = plain_socket(other.netns.get(), AF_INET, SOCK_DGRAM);
    ASSERT_TRUE(send_to(other_client, config_.gateway(), kDns, query(7, "other")));
    pump();
    unsigned asked = 0;
    Datagram last;
    for (auto got = receive(server_, 0); got; got = receive(server_, 0)) {
        ++asked;
        last = *got;
    }
    EXPECT_EQ(asked, DnsUdp::kMaxPerBox + 1);
    EXPECT_EQ(parse_query(last.text)->question, parse_query(query(7, "other"))->question);
}

TEST_F(NetnsDnsTest, WhenBoxesHaveTakenTheWholeTableTheNextIsStillAsked) {
    std::vector<Slot> takers;
    for (unsigned i = 0; i < DnsUdp::kMaxPending / DnsUdp::kMaxPerBox; ++i) {
        takers.push_back(slot(10 + i));
        const UniqueFd taker = plain_socket(takers.back().netns.get(), AF_INET, SOCK_DGRAM);
        for (unsigned q = 0; q < DnsUdp::kMaxPerBox; ++q)
            send_to(taker, config_.gateway(), kDns, query(static_cast<uint16_t>(q)));
        pump();
        while (receive(server_, 0)) {
        }
    }
    ask(query(7, "mine"));
    pump();
    const auto asked = receive(server_);
    ASSERT_TRUE(asked);
    EXPECT_EQ(parse_query(asked->text)->question, parse_query(query(7, "mine"))->question);
}

TEST_F(NetnsDnsTest, WhenBoxesHaveTakenAllConnectionsTheNextStillGetsOne) {
    std::vector<Slot> takers;
    std::vector<UniqueFd> clients;
    for (unsigned i = 0; i < DnsTcp::kMaxConnections / DnsTcp::kMaxPerBox; ++i) {
        takers.push_back(slot(10 + i));
        for (unsigned c = 0; c < DnsTcp::kMaxPerBox; ++c) clients.push_back(connect_tcp(takers.back()));
        pump();
    }
    std::vector<UniqueFd> mine;
    for (unsigned c = 0; c < DnsTcp::kMaxPerBox - 1; ++c) mine.push_back(connect_tcp(box_));
    pump();
    for (const UniqueFd& client : mine) EXPECT_FALSE(readable(client.get(), 0)) << "still open";
    const auto closed =
        std::count_if(clients.begin(), clients.end(), [](const UniqueFd& client) { return readable(client.get(), 0); });
    EXPECT_EQ(closed, DnsTcp::kMaxPerBox - 1) << "of those that hold most";
    EXPECT_TRUE(readable(clients[0].get(), 0)) << "of the connections of a box, the one that is idle for longest";
}

TEST_F(NetnsDnsTest, AnswersOverTcpInOneConnection) {
    const UniqueFd listener = bound_socket(outside_.netns.get(), SOCK_STREAM, kOutside, kDns);
    const UniqueFd client = connect_tcp(box_);
    // The first query in two pieces, the second behind it.
    const std::string both = framed(query(1, "one")) + framed(query(2, "two"));
    ASSERT_TRUE(write_all(client.get(), both.substr(0, 5)).ok());
    pump();
    ASSERT_TRUE(write_all(client.get(), both.substr(5)).ok());
    ASSERT_TRUE(pump(listener));
    const UniqueFd server(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    EXPECT_EQ(read_tcp(server, both.size()), both);
    const std::string answers = framed(answer(query(2, "two"))) + framed(answer(query(1, "one")));
    ASSERT_TRUE(write_all(server.get(), answers).ok());
    EXPECT_EQ(read_tcp(client, answers.size()), answers);
}

TEST_F(NetnsDnsTest, ALongTcpAnswerArrivesWhole) {
    const UniqueFd listener = bound_socket(outside_.netns.get(), SOCK_STREAM, kOutside, kDns);
    const UniqueFd client = connect_tcp(box_);
    ASSERT_TRUE(write_all(client.get(), framed(query(1))).ok());
    ASSERT_TRUE(pump(listener));
    UniqueFd server(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    EXPECT_EQ(read_tcp(server, framed(query(1)).size()), framed(query(1)));  // or its end would be a reset
    std::string answers;
    for (int i = 0; i < 4; ++i) answers += framed(answer(query(1), std::string(60000, static_cast<char>('a' + i))));
    std::thread writer([&] {
        fcntl(server.get(), F_SETFL, 0);  // this end may wait
        EXPECT_TRUE(write_all(server.get(), answers).ok());
        server.reset();
    });
    EXPECT_TRUE(read_tcp(client, answers.size()) == answers);
    writer.join();
    EXPECT_TRUE(at_end(client)) << "the server's end is passed on";
}

TEST_F(NetnsDnsTest, OverTcpOnlyQueriesAreForwarded) {
    const UniqueFd listener = bound_socket(outside_.netns.get(), SOCK_STREAM, kOutside, kDns);
    const UniqueFd client = connect_tcp(box_);
    ASSERT_TRUE(write_all(client.get(), framed(kUpdate)).ok());
    EXPECT_TRUE(at_end(client));
    EXPECT_FALSE(readable(listener.get(), 0));
}

TEST_F(NetnsDnsTest, OverTcpTheNextServerIsAskedToo) {
    set_servers({kSecond, kOutside});
    const UniqueFd listener = bound_socket(outside_.netns.get(), SOCK_STREAM, kOutside, kDns);
    const UniqueFd client = connect_tcp(box_);
    ASSERT_TRUE(write_all(client.get(), framed(query(1))).ok());
    ASSERT_TRUE(pump(listener));
    const UniqueFd server(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    EXPECT_EQ(read_tcp(server, framed(query(1)).size()), framed(query(1)));
}

TEST_F(NetnsDnsTest, OverTcpWithoutAnyServerTheConnectionEnds) {
    set_servers({kSecond});
    const UniqueFd client = connect_tcp(box_);
    ASSERT_TRUE(write_all(client.get(), framed(query(1))).ok());
    EXPECT_TRUE(at_end(client));
}

TEST_F(NetnsDnsTest, ABoxHoldsOnlyItsShareOfConnections) {
    std::vector<UniqueFd> clients;
    for (unsigned i = 0; i < DnsTcp::kMaxPerBox; ++i) clients.push_back(connect_tcp(box_));
    pump();
    const UniqueFd surplus = connect_tcp(box_);
    EXPECT_TRUE(at_end(surplus));
    for (const UniqueFd& client : clients) EXPECT_FALSE(readable(client.get(), 0)) << "still open";
    clients.pop_back();
    pump();
    const UniqueFd next = connect_tcp(box_);
    pump();
    EXPECT_FALSE(readable(next.get(), 0)) << "a place was free again";
}

TEST_F(NetnsDnsTest, AnIdleConnectionIsClosed) {
    forwarder_.reset();
    Poller poller = must(Poller::open());
    Upstreams upstreams(config_.resolv_conf);
    DnsTcp tcp(poller, upstreams, {config_.range, config_.gateway(), judge_});
    must(tcp.listen(kDns));
    const UniqueFd client = connect_tcp(box_);
    ASSERT_TRUE(readable(poller.fd()));
    const auto now = Clock::now();
    for (const epoll_event& event : poller.ready()) EXPECT_TRUE(tcp.on_ready(event.data.fd, event.events, now));
    ASSERT_EQ(tcp.deadline(), now + DnsTcp::kIdle);
    tcp.expire(now + DnsTcp::kIdle - std::chrono::milliseconds(1));
    EXPECT_FALSE(readable(client.get(), 0));
    tcp.expire(now + DnsTcp::kIdle);
    poller.end_round();
    EXPECT_TRUE(readable(client.get()));
    EXPECT_FALSE(tcp.deadline());
}

// The numbers of sockets that go are soon those of new ones.
TEST_F(NetnsDnsTest, WhatHappensToAClosedConnectionDoesNotHappenToTheNext) {
    const UniqueFd listener = bound_socket(outside_.netns.get(), SOCK_STREAM, kOutside, kDns);
    const auto reset = [](UniqueFd& fd) {
        const linger at_once{1, 0};
        ASSERT_EQ(setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
        fd.reset();
    };
    UniqueFd client = connect_tcp(box_);
    ASSERT_TRUE(write_all(client.get(), framed(query(1))).ok());
    ASSERT_TRUE(pump(listener));
    UniqueFd server(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    EXPECT_EQ(read_tcp(server, framed(query(1)).size()), framed(query(1)));
    pump();
    // In one round: the client's end, two new ones, and the end of the server that the first one had.
    reset(client);
    const UniqueFd next[] = {connect_tcp(box_), connect_tcp(box_)};
    reset(server);
    for (const UniqueFd& one : next) ASSERT_TRUE(write_all(one.get(), framed(query(2))).ok());
    for (size_t i = 0; i < std::size(next); ++i) {
        ASSERT_TRUE(pump(listener)) << i;
        const UniqueFd asked(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        EXPECT_EQ(read_tcp(asked, framed(query(2)).size()), framed(query(2))) << i;
    }
}

TEST_F(NetnsDnsTest, ASecondNameServerAtTheGatewayIsRefused) {
    const auto second = DnsForwarder::open(config_, judge_);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, EADDRINUSE);
}

TEST_F(NetnsDnsTest, WhoMayNotAskIsRefusedAtOnceAndNothingIsPassedOn) {
    const UniqueFd tcp = connect_tcp(box_);  // a connection that was there before
    const std::string first = framed(query(1));
    ASSERT_EQ(send(tcp.get(), first.data(), 5, 0), 5);
    pump();
    judge_.silenced = box_.address;
    ask(query(7));
    const std::string refused = pumped(client_).text;
    EXPECT_EQ(refused.substr(0, 2), query(7).substr(0, 2));
    EXPECT_EQ(refused[3] & 0x0F, 5) << "REFUSED";
    ASSERT_EQ(send(tcp.get(), first.data() + 5, first.size() - 5, 0), static_cast<ssize_t>(first.size() - 5));
    const std::string told = read_tcp(tcp, 4096);
    ASSERT_GT(told.size(), 5U);
    EXPECT_EQ(told[5] & 0x0F, 5);
    EXPECT_FALSE(readable(server_.get(), 0));
    judge_.silenced = {};
    ask(query(8));
    EXPECT_TRUE(pump(server_));
}

TEST_F(NetnsDnsTest, ForSomeNamesQueryAndAnswerAreMadeAnew) {
    judge_.limited = box_.address;
    ask(query(7, "ExAmple") + "what the box wants to tell");
    const Datagram asked = pumped(server_);
    const uint16_t id = id_of(asked.text);
    EXPECT_EQ(asked.text, address_query(id, "example"));
    const std::string pointer = "\xc0\x0c\0\1\0\1\0\0\0\5\0\4"s;
    std::string said = address_query(id, "example").substr(0, kDnsHeader + 13);
    said[2] = static_cast<char>(0x81);
    said[7] = 2;
    reply(asked, said + pointer + "\xc0\0\2\1"s + pointer + "\x0a\0\0\1"s + "what the server wants to tell");
    const std::string told = pumped(client_).text;
    EXPECT_EQ(told, address_answer(query(7, "ExAmple"), {{ip("192.0.2.1"), 5}}));
    EXPECT_EQ(judge_.learned, (std::vector<DnsAddress>{{ip("192.0.2.1"), 5}}));
}

TEST_F(NetnsDnsTest, OtherNamesAreRefusedAndOtherTypesAreNone) {
    judge_.limited = box_.address;
    ask(query(7, "other"));
    EXPECT_EQ(pumped(client_).text, refusal(query(7, "other")));
    ASSERT_EQ(watcher_.heard.size(), 1U);
    EXPECT_EQ(watcher_.heard[0], std::pair(box_.address, std::string(parse_query(query(7, "other"))->question)));
    std::string ipv6 = query(8);
    ipv6[ipv6.size() - 3] = 28;
    ask(ipv6);
    EXPECT_EQ(pumped(client_).text, address_answer(ipv6, {}));
    const UniqueFd tcp = connect_tcp(box_);
    ASSERT_TRUE(write_all(tcp.get(), framed(query(9))).ok());
    EXPECT_EQ(read_tcp(tcp, 4096), framed(refusal(query(9))));
    EXPECT_FALSE(readable(server_.get(), 0));
}

TEST_F(NetnsDnsTest, AnAnswerThatIsNoneIsAFailure) {
    judge_.limited = box_.address;
    ask(query(7));
    const Datagram asked = pumped(server_);
    std::string said = address_query(id_of(asked.text), "example").substr(0, kDnsHeader + 13);
    said[2] = static_cast<char>(0x81);
    said[7] = 1;
    reply(asked, said + "\xc0\x0c\0\1"s);
    EXPECT_EQ(pumped(client_).text, server_failure(query(7)));
}

}  // namespace
}  // namespace hutch::netns
