#include "daemon/registry/registries.h"

#include <unistd.h>

#include <algorithm>

#include "base/text.h"

namespace hutch::daemon {

Registries::Registries(Records& records, const Config& config, Fetcher fetcher, std::unique_ptr<Blobs> blobs)
    : records_(records), config_(config), fetcher_(std::move(fetcher)), blobs_(std::move(blobs)) {
    rules_.authorities = config.registry_authorities;
    std::string_view rest = config.insecure_registries;
    while (!rest.empty()) {
        const size_t comma = std::min(rest.find(','), rest.size());
        rules_.insecure.push_back(lower(rest.substr(0, comma)));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
}

Result<std::unique_ptr<Registries>> Registries::open(const asio::any_io_executor& executor, Records& records,
                                                     const Config& config) {
    const std::string& file = config.registry_authorities;
    if (!file.empty() && access(file.c_str(), R_OK) != 0) return errno_error("registry_authorities: opening " + file);
    Fetcher fetcher = TRY(Fetcher::open(executor));
    auto blobs = TRY(Blobs::open(executor, config.state_dir + "/blobs"));
    return std::unique_ptr<Registries>(new Registries(records, config, std::move(fetcher), std::move(blobs)));
}

Result<Reference> Registries::reference(std::string_view text) const {
    Reference reference = at_registry(TRY(parse_reference(text)), config_.default_registry);
    if (reference.tag.empty() && reference.digest.empty()) reference.tag = "latest";
    return reference;
}

Result<std::shared_ptr<Repository>> Registries::repository(const std::string& customer, Reference reference,
                                                           std::optional<RegistryLogin> given, RegistryAccess access) {
    RegistryLogin login;
    if (given) {
        login = *std::move(given);
    } else {
        for (RegistryLoginRecord& kept : TRY(records_.registry_logins(customer))) {
            if (kept.host == reference.host) login = {kept.user, kept.password, kept.identity};
        }
    }
    const bool to_private = customer == kLocalCustomer || config_.private_registries;
    return std::make_shared<Repository>(fetcher_, rules_, std::move(reference), std::move(login), to_private, access);
}

Result<std::string> login_host(const std::string& text) {
    std::string host = lower(text);
    TRY_IN("host", check_registry_host(host));
    if (host == "index.docker.io" || host == "registry-1.docker.io") host = "docker.io";
    return host;
}

}  // namespace hutch::daemon
