package vocab

import _ "example.test/planted/adapter"
