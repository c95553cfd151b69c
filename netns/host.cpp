#include "netns/host.h"

#include <fcntl.h>

#include <sstream>

#include "base/file.h"
#include "netns/nft.h"

namespace hutch::netns {

constexpr auto kForwarding = "/proc/sys/net/ipv4/ip_forward";

Result<bool> forwarding_enabled() {
    return TRY(read_file_at(AT_FDCWD, kForwarding)) != "0\n";
}

Result<bool> enable_forwarding() {
    if (TRY(forwarding_enabled())) return false;
    TRY(write_value_at(AT_FDCWD, kForwarding, "1"));
    return true;
}

// table ip filter {
//         chain FORWARD {
//                 type filter hook forward priority filter; policy drop;
std::vector<std::string> find_forward_drops(std::string_view listing, const std::string& own_table) {
    std::vector<std::string> found;
    std::istringstream lines{std::string(listing)};
    std::string family;
    std::string table;
    std::string chain;
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string first;
        words >> first;
        if (first == "table") words >> family >> table;
        if (first == "chain") words >> chain;
        if (first != "type" || table == own_table) continue;
        if (line.find(" hook forward ") == std::string::npos || line.find("policy drop;") == std::string::npos)
            continue;
        found.push_back(family + " " + table + " " + chain);
    }
    return found;
}

Result<std::vector<std::string>> foreign_forward_drops(const Config& config) {
    return find_forward_drops(TRY_IN("listing chains", run_nft("list chains")), config.table);
}

}  // namespace hutch::netns
