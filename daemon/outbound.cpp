#include "daemon/outbound.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/curl.h"
#include "daemon/text.h"

namespace hutch::daemon {
namespace {

constexpr long kSeconds = 30;
constexpr size_t kMostAnswer = 4 * 1024 * 1024;  // bytes

size_t keep(char* data, size_t, size_t size, void* kept) {
    auto& body = *static_cast<std::string*>(kept);
    if (body.size() + size > kMostAnswer) return 0;  // less than size: curl gives up
    body.append(data, size);
    return size;
}

// What is not on the public Internet (IANA's registries of special-purpose addresses).
bool is_public(const sockaddr& address) {
    if (address.sa_family == AF_INET6) {
        const auto& bytes = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr.s6_addr;
        const bool documentation = bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] == 0x0d && bytes[3] == 0xb8;
        const bool transition = bytes[0] == 0x20 && (bytes[1] == 0x02 || (bytes[1] == 0x01 && bytes[2] == 0));
        return (bytes[0] & 0xe0U) == 0x20 && !documentation && !transition;
    }
    if (address.sa_family != AF_INET) return false;
    struct Range {
        uint32_t first;
        unsigned bits;
    };
    static constexpr Range kSpecial[] = {
        {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},  {0xa9fe0000, 16},
        {0xac100000, 12}, {0xc0000000, 24}, {0xc0000200, 24}, {0xc0a80000, 16}, {0xc6120000, 15},
        {0xc6336400, 24}, {0xcb007100, 24}, {0xe0000000, 3},
    };
    const uint32_t value = ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr);
    for (const Range& range : kSpecial) {
        if ((value ^ range.first) >> (32 - range.bits) == 0) return false;
    }
    return true;
}

// The address is looked at where it is used, so that no name can mean another between the look and the use.
curl_socket_t open_public(void* refused, curlsocktype, curl_sockaddr* address) {
    if (!is_public(address->addr)) {
        *static_cast<bool*>(refused) = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

}  // namespace

Result<OutboundAnswer> call_out(const OutboundCall& call) {
    const CurlHeaders headers = curl_headers(call.headers);
    const CurlHandle curl = curl_call(call.url, headers);
    if (!curl) return Error{ErrorKind::kSystem, ENOMEM, "calling " + origin_of(call.url) + ": no memory for it"};
    OutboundAnswer answer;
    bool refused = false;
    const auto set = [&curl](CURLoption option, auto value) { curl_easy_setopt(curl.get(), option, value); };
    set(CURLOPT_USERAGENT, "hutchd");  // GitHub refuses who has no name
    set(CURLOPT_TIMEOUT, kSeconds);
    set(CURLOPT_WRITEFUNCTION, keep);
    set(CURLOPT_WRITEDATA, static_cast<void*>(&answer.body));
    if (!call.to_private) {
        set(CURLOPT_PROXY, "");  // else the proxy's address would be the one that is looked at
        set(CURLOPT_OPENSOCKETFUNCTION, open_public);
        set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(&refused));
    }
    if (!call.body.empty()) {
        set(CURLOPT_POSTFIELDSIZE, static_cast<long>(call.body.size()));
        set(CURLOPT_POSTFIELDS, call.body.c_str());
    }
    const CURLcode code = curl_easy_perform(curl.get());
    if (refused && code != CURLE_OK) {
        return Error{ErrorKind::kConflict, 0, "calling " + origin_of(call.url) + ": it is at a private address"};
    }
    if (code != CURLE_OK) {
        return Error{ErrorKind::kConflict, 0, "calling " + origin_of(call.url) + ": " + curl_easy_strerror(code)};
    }
    long status = 0;
    curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
    answer.status = status;
    return answer;
}

}  // namespace hutch::daemon
