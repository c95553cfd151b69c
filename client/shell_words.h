#pragma once

#include <string>
#include <vector>

namespace hutch::client {

/// The shell that a guest without a command gets: bash, or sh where there is none.
std::vector<std::string> words_of_shell();
/// That shell, at work on a guest's command.
std::vector<std::string> words_of_command(const std::string& command);
/// What serves a subsystem in a box. Of one that is not known nothing: only "sftp" is, by the image's own program.
std::vector<std::string> words_of_subsystem(const std::string& name);

}  // namespace hutch::client
