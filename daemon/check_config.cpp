#include "daemon/check_config.h"

#include <grp.h>

#include "daemon/agent/models.h"
#include "daemon/api/auth.h"

namespace hutch::daemon {

namespace {

// Of the port that `listen` names.
Result<std::shared_ptr<Tls>> load_files(const char* listen, const std::string& address, Tls::File certificate,
                                        Tls::File key) {
    if (certificate.path.empty() && key.path.empty()) return std::shared_ptr<Tls>();
    if (address.empty()) {
        return invalid(std::string(listen) + ": is required beside " + certificate.option +
                       ", which is of the TCP port");
    }
    return Tls::load(std::move(certificate), std::move(key));
}

}  // namespace

Result<std::shared_ptr<Tls>> load_certificate(const Config& config) {
    return load_files("listen", config.listen, {"tls_certificate", config.tls_certificate},
                      {"tls_key", config.tls_key});
}

Result<std::shared_ptr<Tls>> load_preview_certificate(const Config& config) {
    return load_files("preview_listen", config.preview_listen, {"preview_certificate", config.preview_certificate},
                      {"preview_key", config.preview_key});
}

Result<std::shared_ptr<Tls>> load_fleet_certificate(const Config& config) {
    const std::pair<const char*, const std::string*> needed[] = {
        {"fleet_host", &config.fleet_host}, {"fleet_etcd", &config.fleet_etcd}, {"fleet_listen", &config.fleet_listen}};
    if (config.fleet.empty()) {
        for (const auto& [option, value] : needed) {
            if (!value->empty()) return invalid(std::string(option) + ": is of a fleet; name that by the option fleet");
        }
        return std::shared_ptr<Tls>();
    }
    for (const auto& [option, value] : needed) {
        if (value->empty()) return invalid(std::string(option) + ": is required of a member of a fleet");
    }
    return Tls::load_mutual({"fleet_certificate", config.fleet_certificate}, {"fleet_key", config.fleet_key},
                            {"fleet_ca", config.fleet_ca});
}

std::vector<std::string> check_files(const Settings& settings) {
    const Config& config = settings.config;
    std::vector<std::string> problems;
    const auto note = [&problems](const auto& result) {
        if (!result.ok()) problems.push_back(result.error().message);
    };
    note(load_certificate(config));
    note(load_preview_certificate(config));
    note(load_fleet_certificate(config));
    note(read_key_file(config.api_key_file));
    note(read_model_keys(config));
    if (config.socket_group != Config{}.socket_group && getgrnam(config.socket_group.c_str()) == nullptr) {
        problems.push_back("socket_group: there is no group '" + config.socket_group +
                           "' on this host; make it with groupadd, or leave the option out");
    }
    return problems;
}

}  // namespace hutch::daemon
