package arrived
