// All of the client in one process, with one daemon.

import './agent.mjs';
import './boxes.mjs';
import './files.mjs';
import './git.mjs';
import './previews.mjs';
import './schedules.mjs';
import './newer.mjs';
import './openapi.mjs';
import './table.mjs';
