#include "daemon/network_names.h"

#include <fcntl.h>

#include "base/file.h"

namespace hutch::daemon {

Result<netns::Config> network_of(const Config& config) {
    netns::Config network;
    network.range = TRY_IN("network", netns::parse_prefix(config.network));
    network.table = config.name;
    network.link_prefix = config.name;
    network.service = kModelPort;
    TRY(netns::check(network));
    return network;
}

std::string lock_file_of(const std::string& name) {
    return "/run/hutchd-" + name + ".lock";
}

bool is_running(const std::string& name) {
    const auto file = open_at(AT_FDCWD, lock_file_of(name), O_RDWR);
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    return file.ok() && fcntl(file.value().get(), F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
}

}  // namespace hutch::daemon
