#pragma once

#include <string>

namespace hutch::test {

/// A POSIX ACL as the kernel takes it (linux/posix_acl_xattr.h): user 1000 may read, the mask is `mask`.
inline std::string posix_acl(char mask) {
    std::string bytes{2, 0, 0, 0};
    const std::string nobody(4, '\xff');
    const auto add = [&](char tag, char permissions, const std::string& id) {
        bytes += std::string{tag, 0, permissions, 0} + id;
    };
    add(1, 6, nobody);
    add(2, 4, std::string{'\xe8', 3, 0, 0});
    add(4, 4, nobody);
    add(0x10, mask, nobody);
    add(0x20, 4, nobody);
    return bytes;
}

/// security.capability (linux/capability.h, revision 2): cap_net_bind_service, permitted and effective.
inline const std::string kFileCapability = std::string("\x01\x00\x00\x02\x00\x04\x00\x00", 8) + std::string(12, '\0');

}  // namespace hutch::test
