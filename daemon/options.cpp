#include "daemon/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/text.h"
#include "daemon/wire/reference.h"
#include "netns/config.h"

namespace hutch::daemon {
namespace {

template <typename Number>
bool read_number(const std::string& text, Number& number) {
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    return failure == std::errc() && end == text.data() + text.size();
}

Setting text_option(std::string name, std::string& value, std::string help, std::string allowed,
                    std::function<bool(const std::string&)> check) {
    const auto set = [&value, check = std::move(check)](const std::string& text) {
        if (text.empty() || !check(text)) return false;
        value = text;
        return true;
    };
    const auto get = [&value] { return value.empty() ? "" : toml_quoted(value); };
    return {std::move(name), TomlType::kText, std::move(help), std::move(allowed), set, get};
}

Setting path_option(std::string name, std::string& value, std::string help) {
    return text_option(std::move(name), value, std::move(help), "an absolute path",
                       [](const std::string& text) { return text.front() == '/'; });
}

Setting server_option(std::string name, std::string& value, std::string help) {
    return text_option(std::move(name), value, std::move(help),
                       "an address like https://github.com, without a user and without a slash at its end",
                       [](const std::string& text) {
                           return is_web_address(text) && text.back() != '/' && text.find('@') == std::string::npos;
                       });
}

Setting word_option(std::string name, std::string& value, std::string help) {
    return text_option(std::move(name), value, std::move(help), "one word",
                       [](const std::string& text) { return text.find_first_of(" \t\r\n") == std::string::npos; });
}

Setting number_option(std::string name, uint32_t& value, uint32_t least, uint32_t most, std::string help) {
    const auto set = [&value, least, most](const std::string& text) {
        uint32_t number = 0;
        if (!read_number(text, number) || number < least || number > most) return false;
        value = number;
        return true;
    };
    return {std::move(name),
            TomlType::kNumber,
            std::move(help),
            fmt::format("a whole number from {} to {}", least, most),
            set,
            [&value] { return std::to_string(value); }};
}

Setting price_option(std::string name, double& value, std::string help) {
    const auto set = [&value](const std::string& text) {
        double number = 0;
        if (!read_number(text, number) || !std::isfinite(number) || number < 0) return false;
        value = number;
        return true;
    };
    return {std::move(name), TomlType::kNumber, std::move(help), "a number that is not negative", set, [&value] {
                return fmt::format("{}", value);
            }};
}

Setting flag_option(std::string name, bool& value, std::string help) {
    const auto set = [&value](const std::string& text) {
        if (text != "true" && text != "false") return false;
        value = text == "true";
        return true;
    };
    return {std::move(name),
            TomlType::kFlag,
            std::move(help),
            "true or false",
            set,
            [&value] { return value ? "true" : "false"; }};
}

// "50G", "50GB" and "50GiB" are all 50 times 2^30, as with lvcreate(8).
bool read_size(const std::string& text, uint64_t& bytes) {
    static const std::string kUnits = "kmgtp";
    uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, failure] = std::from_chars(text.data(), end, number);
    if (failure != std::errc() || number == 0) return false;
    const std::string unit = lower(std::string_view(rest, static_cast<size_t>(end - rest)));
    if (!unit.empty()) {
        const size_t power = kUnits.find(unit.front());
        const std::string_view more = std::string_view(unit).substr(1);
        if (power == std::string::npos || (!more.empty() && more != "b" && more != "ib")) return false;
        const size_t shift = 10 * (power + 1);
        if (number > std::numeric_limits<uint64_t>::max() >> shift) return false;
        number <<= shift;
    }
    bytes = number;
    return true;
}

std::string size_text(uint64_t bytes) {
    static const std::string kUnits = " KMGTP";
    size_t unit = 0;
    for (; bytes % 1024 == 0 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
    return std::to_string(bytes) + (unit == 0 ? "" : std::string(1, kUnits[unit]));
}

Setting size_option(std::string name, uint64_t& value, uint64_t least, std::string help) {
    const auto set = [&value, least](const std::string& text) {
        uint64_t bytes = 0;
        if (!read_size(text, bytes) || bytes < least) return false;
        value = bytes;
        return true;
    };
    const auto get = [&value] { return value == 0 ? "" : toml_quoted(size_text(value)); };
    const std::string allowed = "a size such as 50G" + (least <= 1 ? "" : ", at least " + size_text(least));
    return {std::move(name), TomlType::kText, std::move(help), allowed, set, get};
}

bool is_name(const std::string& text) {
    netns::Config network;
    network.link_prefix = text;
    return netns::check(network).ok();
}

bool is_network(const std::string& text) {
    const auto range = netns::parse_prefix(text);
    netns::Config network;
    if (range.ok()) network.range = range.value();
    return range.ok() && netns::check(network).ok();
}

bool is_preview_domain(const std::string& text) {
    constexpr size_t kLongest = 180;  // with BOX-PORT before it, still a name of DNS
    const auto is_part = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    };
    return text.size() <= kLongest && std::all_of(text.begin(), text.end(), is_part) && text.front() != '.' &&
           text.back() != '.' && text.find("..") == std::string::npos;
}

bool are_hosts(const std::string& text) {
    std::string_view rest = text;
    for (;;) {
        const size_t comma = rest.find(',');
        if (!check_registry_host(rest.substr(0, comma)).ok()) return false;
        if (comma == std::string_view::npos) return true;
        rest.remove_prefix(comma + 1);
    }
}

bool is_log_format(const std::string& text) {
    return text == "auto" || text == "text" || text == "json";
}

void add_places(std::vector<Setting>& all, Config& config) {
    all.push_back(path_option("state_dir", config.state_dir, "Where boxes, images and records are kept"));
    all.push_back(size_option("store_size", config.store_size, 1,
                              "Size, such as 50G, of a btrfs in a file of state_dir that holds boxes and images; made "
                              "at the first start, larger at a later one. Without it, a directory of state_dir holds "
                              "them"));
    all.push_back(path_option("run_dir", config.run_dir, "Where run-time files are"));
    all.push_back(path_option("socket", config.socket, "The Unix socket of the API"));
    all.push_back(word_option("socket_group", config.socket_group, "Members of this group may use the socket"));
}

void add_door(std::vector<Setting>& all, Config& config) {
    constexpr uint32_t kMost = std::numeric_limits<uint32_t>::max();
    all.push_back(text_option("listen", config.listen, "ADDRESS:PORT of the API over TCP, for who has an API key",
                              "ADDRESS:PORT, for example 127.0.0.1:8080",
                              [](const std::string& text) { return parse_endpoint(text).has_value(); }));
    all.push_back(path_option("api_key_file", config.api_key_file, "File of API keys, one per line, chmod 600"));
    all.push_back(path_option("tls_certificate", config.tls_certificate,
                              "PEM file of the certificate that the TCP port shows, with its chain; read anew on "
                              "SIGHUP"));
    all.push_back(path_option("tls_key", config.tls_key, "PEM file of the certificate's key, chmod 600"));
    all.push_back(number_option("connections_per_address", config.connections_per_address, 0, kMost,
                                "Connections over TCP from one address (of IPv6: one /64) at a time; 0: without a "
                                "limit"));
    all.push_back(number_option("requests_per_minute", config.requests_per_minute, 0, kMost,
                                "Requests of one API key's customer, as many at once after a quiet minute; 0: without "
                                "a limit"));
    all.push_back(number_option("wrong_keys_per_minute", config.wrong_keys_per_minute, 0, kMost,
                                "Wrong API keys from one address before it is refused; 0, for who stands behind a "
                                "proxy: no limit"));
}

void add_previews(std::vector<Setting>& all, Config& config) {
    all.push_back(text_option("preview_listen", config.preview_listen,
                              "ADDRESS:PORT of public URLs, by which anybody reaches the ports that boxes publish; "
                              "without it there are none",
                              "ADDRESS:PORT, for example 127.0.0.1:8081",
                              [](const std::string& text) { return parse_endpoint(text).has_value(); }));
    all.push_back(text_option("preview_domain", config.preview_domain,
                              "Domain of public URLs, used for nothing else: they are BOX-PORT.DOMAIN, for which a "
                              "wildcard record of DNS leads here; names below localhost need none",
                              "a domain in lower case, such as boxes.example.com", is_preview_domain));
    all.push_back(path_option("preview_certificate", config.preview_certificate,
                              "PEM file of the certificate of public URLs, for *.DOMAIN, with its chain; read anew on "
                              "SIGHUP"));
    all.push_back(path_option("preview_key", config.preview_key, "PEM file of that certificate's key, chmod 600"));
}

void add_boxes(std::vector<Setting>& all, Config& config) {
    all.push_back(size_option("memory_budget", config.memory_budget, kLeastMemoryBudget,
                              "Memory, such as 2G, that bodies of requests and answers may take at a time, of which "
                              "one customer has at most half. Without it, an eighth of the host's, 1G to 4G"));
    all.push_back(text_option("network", config.network, "IPv4 range of the boxes' addresses",
                              "a range from a /8 to a /29, such as 198.18.0.0/16", is_network));
    all.push_back(word_option("default_image", config.default_image, "Image of boxes that name none"));
    all.push_back(
        number_option("pool", config.pool, 0, 256,
                      "Networks and, on btrfs, uppers kept ready, and at most so many whole boxes, of the kinds that "
                      "are being made"));
    all.push_back(number_option("workers", config.workers, 1, 64, "Threads for blocking kernel calls"));
    all.push_back(number_option("max_boxes", config.max_boxes, 1, 20000, "Boxes this host may hold"));
    all.push_back(flag_option("allow_nesting", config.allow_nesting,
                              "Boxes may be made with nesting: programs in them make namespaces, so sandboxes and "
                              "containers, of their own, and reach more of this host's kernel by that. What was set "
                              "for a customer by hutch key limit --nesting comes before it"));
    all.push_back(
        flag_option("allow_pull", config.allow_pull,
                    "Customers may have images of registries: pull them, and name them where they make a box. "
                    "What was set for a customer by hutch key limit --pull comes before it"));
    all.push_back(number_option("idle_timeout", config.idle_timeout, 0, kLongestTimeout,
                                "Seconds without work after which a box is paused; 0: never"));
    all.push_back(number_option("reclaim_after", config.reclaim_after, 0, kLongestTimeout,
                                "Seconds of a pause after which the memory of the box is asked back"));
}

void add_registries(std::vector<Setting>& all, Config& config) {
    const auto is_host = [](const std::string& text) { return check_registry_host(text).ok(); };
    all.push_back(text_option("default_registry", config.default_registry,
                              "Registry of images whose reference names none", "a host, such as docker.io", is_host));
    all.push_back(text_option("insecure_registries", config.insecure_registries,
                              "Registries that are spoken to in clear, where whoever is on the way reads and changes "
                              "what comes; those of this host, at loopback addresses, need not be named",
                              "hosts with commas between them, such as 10.1.2.3:5000,registry.lan", are_hosts));
    all.push_back(path_option("registry_authorities", config.registry_authorities,
                              "PEM file of authorities that may vouch for registries, beside the system's"));
    all.push_back(flag_option("private_registries", config.private_registries,
                              "Registries that customers name may be at loopback and private addresses, behind which "
                              "lies what trusts this host"));
}

bool is_fleet_name(const std::string& text) {
    const auto is_part = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    };
    constexpr size_t kLongest = 63;
    return text.size() <= kLongest && std::all_of(text.begin(), text.end(), is_part) && text.front() != '.' &&
           text.front() != '-';
}

bool is_server_list(const std::string& text) {
    for (size_t begin = 0; begin <= text.size();) {
        const size_t end = std::min(text.find(',', begin), text.size());
        const std::string one = text.substr(begin, end - begin);
        if (!is_web_address(one) || one.back() == '/' || one.find('@') != std::string::npos) return false;
        begin = end + 1;
    }
    return true;
}

bool is_own_endpoint(const std::string& text) {
    const auto parsed = parse_endpoint(text);
    return parsed && parsed->address != "0.0.0.0" && parsed->address != "::";
}

void add_fleet(std::vector<Setting>& all, Config& config) {
    constexpr const char* kName = "1 to 63 of a-z, 0-9, '-' and '.', beginning with a letter or digit";
    all.push_back(text_option("fleet", config.fleet,
                              "Name of the fleet that this host is a member of; without it the host stands alone",
                              kName, is_fleet_name));
    all.push_back(text_option("fleet_host", config.fleet_host,
                              "This host's name in the fleet, which its certificate has as a DNS name", kName,
                              is_fleet_name));
    all.push_back(text_option("fleet_etcd", config.fleet_etcd,
                              "Where the fleet's etcd answers, with commas between its members",
                              "addresses like https://10.0.0.1:2379, with commas between", is_server_list));
    all.push_back(text_option("fleet_listen", config.fleet_listen,
                              "ADDRESS:PORT at which the other hosts of the fleet reach this one",
                              "ADDRESS:PORT of this host, for example 10.0.0.1:7433", is_own_endpoint));
    all.push_back(
        path_option("fleet_certificate", config.fleet_certificate,
                    "PEM file of the certificate that this host shows to the others and to etcd; read anew on "
                    "SIGHUP"));
    all.push_back(path_option("fleet_key", config.fleet_key, "PEM file of that certificate's key, chmod 600"));
    all.push_back(
        path_option("fleet_ca", config.fleet_ca,
                    "PEM file of the authority that signs certificates of the fleet's hosts, and of its etcd, "
                    "and of nobody else"));
}

void add_others(std::vector<Setting>& all, Config& config) {
    all.push_back(text_option("log_format", config.log_format,
                              "Format of the log on standard error; auto: text on a terminal, else json",
                              "auto, text or json", is_log_format));
    all.push_back(server_option("github_url", config.github_url,
                                "The server that the tokens of boxes are for, and are told to alone"));
    all.push_back(server_option("github_api_url", config.github_api_url, "The API of that server, for pull requests"));
    for (ModelProvider& provider : config.models) {
        all.push_back(server_option(provider.name + "_url", provider.url,
                                    "Where the models called " + provider.name + "/... answer"));
        all.push_back(path_option(provider.name + "_key_file", provider.key_file,
                                  "File with the key for them, chmod 600, of boxes that have no other"));
    }
    all.push_back(flag_option("private_webhooks", config.private_webhooks,
                              "Webhooks of prompts may go to loopback and private addresses, behind which lies what "
                              "trusts this host"));
    all.push_back(price_option("cpu_hour_usd", config.cpu_hour_usd, "Price of an active vCPU-hour"));
    all.push_back(
        price_option("gb_month_usd", config.gb_month_usd, "Price of a GB (10^9 bytes) kept for a month of 730 hours"));
    all.push_back(text_option("name", config.name,
                              "Name of its control groups, firewall table and links: for a second daemon",
                              "1 to 6 of a-z and 0-9, beginning with a letter", is_name));
}

}  // namespace

std::vector<Setting> options_of(Config& config) {
    std::vector<Setting> all;
    add_places(all, config);
    add_door(all, config);
    add_previews(all, config);
    add_boxes(all, config);
    add_registries(all, config);
    add_fleet(all, config);
    add_others(all, config);
    return all;
}

}  // namespace hutch::daemon
