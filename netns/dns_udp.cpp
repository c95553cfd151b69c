#include "netns/dns_udp.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "netns/dns_message.h"

namespace hutch::netns {
namespace {

constexpr size_t kMaxDatagram = 65535;
// At a time, so that one flood does not hold up the owner's event loop.
constexpr int kQueriesAtOnce = 64;

}  // namespace

std::string_view DnsUdp::Pending::question() const {
    return std::string_view(query).substr(kDnsHeader, question_size);
}

Result<void> DnsUdp::listen(uint16_t port) {
    socket_ = TRY(gateway_socket(SOCK_DGRAM, clients_.gateway, port));
    return poller_.add(socket_.get(), EPOLLIN);
}

bool DnsUdp::on_ready(int fd, Clock::time_point now) {
    if (fd == socket_.get()) {
        read_queries(now);
        return true;
    }
    const auto found = by_socket_.find(fd);
    if (found == by_socket_.end()) return false;
    read_answers(found->second, now);
    return true;
}

void DnsUdp::read_queries(Clock::time_point now) {
    upstreams_.refresh();
    std::array<char, kMaxDnsQuery + 1> buffer;  // one more, so that a longer one is seen to be longer
    for (int i = 0; i < kQueriesAtOnce; ++i) {
        sockaddr_in client{};
        socklen_t length = sizeof(client);
        const ssize_t size =
            recvfrom(socket_.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&client), &length);
        if (size < 0) return;
        accept_query({buffer.data(), static_cast<size_t>(size)}, client, now);
    }
}

void DnsUdp::accept_query(std::string_view packet, const sockaddr_in& client, Clock::time_point now) {
    const Ipv4 box = address_of(client);
    const auto query = parse_query(packet);
    if (!query || !clients_.contains(box) || limit_.full(box)) return;
    std::optional<Pending> pending = judge(*query, packet, client);
    if (!pending || (pending_.size() >= kMaxPending && !make_room_for(box))) return;
    limit_.enter(box);
    pending->turn = upstreams_.best();
    pending->last_turn = pending->turn + upstreams_.count();
    pending_.push_back(std::move(*pending));
    forward(std::prev(pending_.end()), now);
}

std::optional<DnsUdp::Pending> DnsUdp::judge(const DnsQuery& query, std::string_view packet,
                                             const sockaddr_in& client) {
    const Ipv4 box = address_of(client);
    Pending pending{client, query.id, std::string(packet), std::string(packet)};
    pending.question_size = query.question.size();
    const MayAsk may = clients_.judge.may_ask(box);
    if (may == MayAsk::kEverything) return pending;
    auto question = read_question(query.question);
    if (may == MayAsk::kNothing || !question || !clients_.judge.lists(box, question->name)) {
        if (clients_.watcher != nullptr) clients_.watcher->refused(box, query.question);
        answer(client, refusal(packet));
        return std::nullopt;
    }
    if (!question->address) {
        answer(client, address_answer(packet, {}));
        return std::nullopt;
    }
    pending.query = address_query(0, question->name);
    pending.name = std::move(question->name);
    return pending;
}

std::string DnsUdp::told_of(const Pending& pending, std::string_view packet) {
    constexpr unsigned kNoSuchName = 3;
    auto said = parse_answer(packet, *pending.name);
    if (!said || (said->code != 0 && said->code != kNoSuchName)) return {};
    if (said->code == kNoSuchName) return no_such_name(pending.asked);
    if (said->addresses.empty()) return address_answer(pending.asked, {});
    const auto told = clients_.judge.learn(address_of(pending.client), *pending.name, std::move(said->addresses));
    return told.empty() ? refusal(pending.asked) : address_answer(pending.asked, told);
}

bool DnsUdp::make_room_for(Ipv4 box) {
    const auto most = limit_.who_gives_way_to(box);
    if (!most) return false;
    const auto oldest = std::find_if(pending_.begin(), pending_.end(),
                                     [&](const Pending& pending) { return address_of(pending.client) == *most; });
    finish(oldest, server_failure(oldest->asked));
    return true;
}

void DnsUdp::forward(Entry entry, Clock::time_point now) {
    for (; entry->turn != entry->last_turn; ++entry->turn) {
        if (send_query(entry, now)) return;
    }
    finish(entry, server_failure(entry->asked));
}

bool DnsUdp::send_query(Entry entry, Clock::time_point now) {
    const auto id = random_dns_id();
    auto socket = upstream_socket(SOCK_DGRAM, upstreams_.at(entry->turn));
    if (!id || !socket.ok()) return false;
    entry->id = *id;
    set_dns_id(entry->query, *id);
    if (send(socket->get(), entry->query.data(), entry->query.size(), MSG_NOSIGNAL) < 0) return false;
    if (!poller_.add(socket->get(), EPOLLIN).ok()) return false;
    entry->socket = std::move(*socket);
    entry->deadline = now + kDnsTry;
    by_socket_.emplace(entry->socket.get(), entry);
    pending_.splice(pending_.end(), pending_, entry);
    return true;
}

void DnsUdp::read_answers(Entry entry, Clock::time_point now) {
    std::string packet(kMaxDatagram, '\0');
    for (;;) {
        const ssize_t size = recv(entry->socket.get(), packet.data(), packet.size(), 0);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (size < 0) return next_server(entry, now);  // the server's host has refused (ICMP)
        if (!is_answer({packet.data(), static_cast<size_t>(size)}, entry->id, entry->question())) continue;
        packet.resize(static_cast<size_t>(size));
        if (entry->name) {
            packet = told_of(*entry, packet);
            if (packet.empty()) return next_server(entry, now);
        }
        upstreams_.answered(entry->turn);
        if (clients_.watcher != nullptr) {
            clients_.watcher->answered(address_of(entry->client), entry->question(), packet);
        }
        return finish(entry, std::move(packet));
    }
}

void DnsUdp::next_server(Entry entry, Clock::time_point now) {
    close_socket(entry);
    ++entry->turn;
    forward(entry, now);
}

void DnsUdp::expire(Clock::time_point now) {
    while (!pending_.empty() && pending_.front().deadline <= now) next_server(pending_.begin(), now);
}

std::optional<Clock::time_point> DnsUdp::deadline() const {
    if (pending_.empty()) return std::nullopt;
    return pending_.front().deadline;
}

void DnsUdp::close_socket(Entry entry) {
    if (!entry->socket) return;
    by_socket_.erase(entry->socket.get());
    poller_.remove(std::move(entry->socket));
}

// Should the box's queue be full, it will ask again, as for any lost packet.
void DnsUdp::answer(const sockaddr_in& client, std::string_view packet) {
    sendto(socket_.get(), packet.data(), packet.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&client),
           sizeof(client));
}

void DnsUdp::finish(Entry entry, std::string answer) {
    set_dns_id(answer, entry->client_id);
    this->answer(entry->client, answer);
    close_socket(entry);
    limit_.leave(address_of(entry->client));
    pending_.erase(entry);
}

}  // namespace hutch::netns
