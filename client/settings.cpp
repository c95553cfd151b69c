#include "client/settings.h"

#include <cstdlib>

namespace hutch::client {

Result<Json> variables_of(const std::string& option, const std::vector<std::string>& texts) {
    Json variables = Json::object();
    for (const std::string& text : texts) {
        const size_t equals = text.find('=');
        const std::string name = text.substr(0, equals);
        const char* own = equals == std::string::npos ? getenv(name.c_str()) : text.c_str() + equals + 1;
        if (name.empty() || own == nullptr) {
            return invalid(option + ": \"" + text + "\" is neither NAME=VALUE nor in the environment");
        }
        variables[name] = own;
    }
    return variables;
}

}  // namespace hutch::client
