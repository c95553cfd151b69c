// All of the client in one process, with one daemon.

import './boxes.mjs';
import './files.mjs';
import './git.mjs';
