#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hutch::daemon {

/// Who a command runs as, by the files of an image.
struct Account {
    std::string name;  ///< as it was asked for where the files do not know the id
    uint32_t uid = 0;  ///< within the box: 0 to 65535, as gid
    uint32_t gid = 0;
    std::string home = "/";
};

/// Finds "NAME", "UID", or either with ":GROUP" or ":GID" behind, in what passwd(5) and group(5) are in an image, empty
/// where it has none. "" is root, as in the config of an OCI image. As docker has it, an id need not be known, and then
/// goes with group 0. kInvalid for a name that is not, and for ids beyond a box's.
Result<Account> find_account(std::string_view who, std::string_view passwd, std::string_view group);

}  // namespace hutch::daemon
