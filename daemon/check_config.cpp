#include "daemon/check_config.h"

#include <grp.h>

#include "daemon/agent/models.h"
#include "daemon/api/auth.h"

namespace hutch::daemon {

Result<std::shared_ptr<Tls>> load_certificate(const Config& config) {
    if (config.tls_certificate.empty() && config.tls_key.empty()) return std::shared_ptr<Tls>();
    if (config.listen.empty()) return invalid("listen: is required beside tls_certificate, which is of the TCP port");
    return Tls::load(config.tls_certificate, config.tls_key);
}

std::vector<std::string> check_files(const Settings& settings) {
    const Config& config = settings.config;
    std::vector<std::string> problems;
    const auto note = [&problems](const auto& result) {
        if (!result.ok()) problems.push_back(result.error().message);
    };
    note(load_certificate(config));
    note(read_key_file(config.api_key_file));
    note(read_model_keys(config));
    if (config.socket_group != Config{}.socket_group && getgrnam(config.socket_group.c_str()) == nullptr) {
        problems.push_back("socket_group: there is no group '" + config.socket_group +
                           "' on this host; make it with groupadd, or leave the option out");
    }
    return problems;
}

}  // namespace hutch::daemon
