module example.test/planted
