#include "netns/dns_lookup.h"

#include <poll.h>

#include <array>
#include <optional>
#include <string_view>

#include "netns/dns_answer.h"
#include "netns/dns_message.h"
#include "netns/dns_socket.h"

namespace hutch::netns {
namespace {

// More than it asks for.
constexpr size_t kRoomForDatagram = 4096;

// The answer to that query, if one comes in time and is one.
std::optional<DnsAnswer> answer_of_server(int socket, uint16_t id, const std::string& query, const std::string& name) {
    // Behind the question there is what says how long an answer may be.
    const std::string_view question = parse_query(query).value().question;
    std::array<char, kRoomForDatagram> buffer;
    const auto deadline = Clock::now() + kDnsTry;
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
        pollfd entry{socket, POLLIN, 0};
        if (left <= 0 || poll(&entry, 1, static_cast<int>(left)) == 0) return std::nullopt;
        const ssize_t size = recv(socket, buffer.data(), buffer.size(), 0);
        if (size < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (size < 0) return std::nullopt;  // its host has refused (ICMP)
        const std::string_view packet(buffer.data(), static_cast<size_t>(size));
        if (is_answer(packet, id, question)) return parse_answer(packet, name);
    }
}

}  // namespace

Result<LookedUp> look_up(const std::string& resolv_conf, const std::string& name) {
    constexpr unsigned kNoSuchName = 3;
    Upstreams servers(resolv_conf);
    servers.refresh();
    for (size_t turn = servers.best(); turn != servers.best() + servers.count(); ++turn) {
        const auto id = random_dns_id();
        if (!id) return errno_error("making the id of a query");
        const UniqueFd socket = TRY(upstream_socket(SOCK_DGRAM, servers.at(turn)));
        const std::string query = address_query(*id, name);
        if (send(socket.get(), query.data(), query.size(), MSG_NOSIGNAL) < 0) continue;
        const auto answer = answer_of_server(socket.get(), *id, query, name);
        if (!answer || (answer->code != 0 && answer->code != kNoSuchName)) continue;
        LookedUp found{answer->code == 0 ? LookedUp::Outcome::kAnswered : LookedUp::Outcome::kNoSuchName};
        for (const DnsAddress& entry : answer->addresses) found.addresses.push_back(entry.address);
        return found;
    }
    return LookedUp{};
}

}  // namespace hutch::netns
